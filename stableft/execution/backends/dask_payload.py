"""Dask payload: the message to a worker. Data and weights are sent separately, once per worker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stableft.execution.job import Job
from stableft.models.encoder_folder import weight_files
from stableft.models.encoders import TOKENIZER_FILES, Encoder
from stableft.tasks import TaskData

_NOTHING: TaskData = TaskData((), ())


@dataclass(frozen=True)
class JobPayload:
    """A job in the form sent to a worker.

    Attributes:
        job: The job without examples; its paths are the sender's.
        data: Fingerprints of the examples of the job and of its source jobs, by run.
    """

    job: Job
    data: Mapping[str, str]

    @property
    def encoders(self) -> set[str]:
        """The fingerprints of the needed encoders."""
        return {job.encoder.fingerprint for job in family(self.job)}

    def unpack(self, data: Mapping[str, TaskData], encoders: Mapping[str, Path], results: Path | None) -> Job:
        """Returns the job with the receiver's data and paths.

        Args:
            data: The receiver's examples by fingerprint.
            encoders: The receiver's folders of encoders by fingerprint.
            results: The receiver's results folder; None if it sees the sender's.
        """

        def here(job: Job) -> Job:
            return replace(
                job,
                data=data[self.data[job.run_id]],
                encoder=replace(job.encoder, folder=encoders[job.encoder.fingerprint]),
                results=results or job.results,
                sources={name: here(source) for name, source in job.sources.items()},
            )

        return here(self.job)


def pack(job: Job) -> JobPayload:
    """Returns the payload of a job, without its examples."""
    return JobPayload(_bare(job), {each.run_id: each.data.fingerprint for each in family(job)})


def family(job: Job) -> list[Job]:
    """Returns a job and its source jobs."""
    return [job, *(each for source in job.sources.values() for each in family(source))]


def examples(jobs: Sequence[Job]) -> dict[str, TaskData]:
    """Returns all examples of some jobs, by fingerprint."""
    return {each.data.fingerprint: each.data for job in jobs for each in family(job)}


def encoders(jobs: Sequence[Job]) -> dict[str, Encoder]:
    """Returns all encoders of some jobs, by fingerprint."""
    return {each.encoder.fingerprint: each.encoder for job in jobs for each in family(job)}


def files(encoder: Encoder) -> dict[str, bytes]:
    """Returns the files covered by an encoder's fingerprint."""
    names = ("config.json", *(file.name for file in weight_files(encoder.folder)), *TOKENIZER_FILES)
    return {name: (encoder.folder / name).read_bytes() for name in names if (encoder.folder / name).is_file()}


def _bare(job: Job) -> Job:
    task = job.task and replace(job.task, load=_left_behind)  # the loader of a user's file would carry the examples
    sources = {name: _bare(source) for name, source in job.sources.items()}
    return replace(job, data=_NOTHING, task=task, sources=sources, results=job.results.resolve())


def _left_behind() -> TaskData:
    raise RuntimeError("a task's examples are sent once per worker, not with its runs")
