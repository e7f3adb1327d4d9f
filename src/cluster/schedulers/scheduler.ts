/** What a task of a job may use. */
export interface TaskResources {
  /** Processor cores, at least 1. */
  readonly cpus: number
  /** In MiB. */
  readonly memory?: number
  readonly gpus?: number
  /** After which the task is ended. */
  readonly seconds?: number
}

/** A grid of runs as a job: as many tasks as one likes, which share the runs among themselves. */
export interface GridJob {
  /** What the job is called: any text of one line. */
  readonly name: string
  /** The program of a task and its words; it is told its number, from 0, and how many there are, by `--share 0/16`. */
  readonly command: readonly string[]
  readonly tasks: number
  readonly resources: TaskResources
  /** Where tasks start: an absolute path, of one line, of a folder that they see. */
  readonly workingDirectory: string
  /** Where the files of the job lie: an absolute path of one line. */
  readonly folder: string
  /** The folder of the results, as tasks see it. */
  readonly results: string
  /** Of the scheduler's own: values of its options by their names. */
  readonly options: Readonly<Record<string, string>>
}

/** An option that a scheduler has besides those of every job. */
export interface SchedulerOption {
  /** In full words, by hyphens: `partition`. */
  readonly name: string
  /** What its value is called: `claim:/path`. */
  readonly value: string
  /** In a few words. */
  readonly help: string
  readonly isRequired?: boolean
}

/** A system that runs jobs: what describes a job to it, and how it is told. */
export interface Scheduler {
  /** Its name among people: `Slurm`. */
  readonly title: string
  /** Name of the file that describes a job; not that of a module which it imports. */
  readonly file: string
  readonly options: readonly SchedulerOption[]
  /** Whether tasks see the files of the machine that submits the job, under the same paths. */
  readonly seesFiles: boolean
  /**
   * The file that describes a job.
   *
   * @throws RangeError for values that its options cannot have
   */
  describe(job: GridJob): string
  /** The words of the command that submits the file at a path. */
  submit(path: string): readonly string[]
}

/** The variables that tasks are given: threads of native TensorFlow are as many as the cores. */
export function taskEnvironment({ resources }: GridJob): Readonly<Record<string, string>> {
  return { TF_NUM_INTRAOP_THREADS: String(resources.cpus) }
}

/** A text as a comment can hold it: in one line. */
export function commentText(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ')
}
