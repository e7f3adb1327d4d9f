import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Scheduler, SchedulerOption, TaskResources } from '../../../src/cluster/schedulers/scheduler.js'
import { type SchedulerName, schedulers } from '../../../src/cluster/schedulers/schedulers.js'
import { positiveInteger } from '../../terminal/option-values.js'
import { UsageError } from '../../terminal/usage-error.js'
import type { Share } from './shared-work.js'

const group = 'On a cluster:'

/** The flags of a job as commander hands them over; the options of schedulers are among them. */
export interface ClusterFlags {
  readonly cluster?: SchedulerName
  readonly clusterTasks?: number
  readonly clusterCpus?: number
  readonly clusterMemory?: number
  readonly clusterGpus?: number
  readonly clusterTime?: number
  readonly clusterFolder?: string
  readonly clusterDryRun?: boolean
}

/** A job that is asked for. */
export interface AskedJob {
  readonly scheduler: Scheduler
  /** Undefined where the number of runs decides. */
  readonly tasks: number | undefined
  readonly resources: TaskResources
  readonly options: Readonly<Record<string, string>>
  /** Where its files go; undefined where the folder of the grid decides. */
  readonly folder: string | undefined
  /** Whether it is only written. */
  readonly dryRun: boolean
}

/** The flag `--share`, which the task of a job is given. */
export function shareOption(): Option {
  return new Option('--share <task/tasks>', 'work as one of several tasks that share the runs, from 0: 0/16')
    .argParser(readShare)
    .helpGroup(group)
}

function readShare(text: string): Share {
  const [, task, tasks] = /^(\d{1,9})\/(\d{1,9})$/.exec(text) ?? []
  if (task !== undefined && Number(task) < Number(tasks)) return { task: Number(task), tasks: Number(tasks) }
  throw new InvalidArgumentError(
    'It must be the number of a task, from 0, and how many there are: 0/16, to 15/16.',
  )
}

/** The flags that write and submit a job. */
export function clusterOptions(): readonly Option[] {
  const names = Object.keys(schedulers)
  return [
    new Option('--cluster <scheduler>', 'give the runs to a cluster as one job').choices(names),
    new Option(
      '--cluster-tasks <count>',
      'tasks that share the runs (default: one a run, at most 16)',
    ).argParser(positiveInteger),
    new Option('--cluster-cpus <count>', 'processor cores of a task (default: 1)').argParser(positiveInteger),
    new Option('--cluster-memory <size>', 'memory of a task: 8G, or 512M').argParser(memorySize),
    new Option('--cluster-gpus <count>', 'GPUs of a task (default: none)').argParser(positiveInteger),
    new Option('--cluster-time <time>', 'limit of a task: 90m, 4h, 2d, or 1-12:00:00').argParser(timeLimit),
    ...schedulerOptions().map(({ name, value, help, titles }) => {
      return new Option(`--cluster-${name} <${value}>`, `${titles.join(', ')}: ${help}`)
    }),
    new Option('--cluster-folder <folder>', 'where the job and its logs go (default: cluster in --out)'),
    new Option('--cluster-dry-run', 'write the job and do not submit it'),
  ].map(option => option.helpGroup(group))
}

/** The options of all schedulers, those of the same name once, with who has them. */
function schedulerOptions(): (SchedulerOption & { readonly titles: readonly string[] })[] {
  const byName = new Map<string, SchedulerOption & { readonly titles: readonly string[] }>()
  for (const { title, options } of Object.values<Scheduler>(schedulers)) {
    for (const option of options) {
      const titles = [...(byName.get(option.name)?.titles ?? []), title]
      byName.set(option.name, { ...option, titles })
    }
  }
  return [...byName.values()]
}

/**
 * The job that flags ask for; undefined where they ask for none.
 *
 * @param where the command, for errors
 * @throws UsageError for flags of a job without `--cluster`, or of another scheduler, and for those that are missing
 */
export function askedJob(flags: ClusterFlags, where: string): AskedJob | undefined {
  const given = Object.entries(flags).filter(
    ([key, value]) => key.startsWith('cluster') && key !== 'cluster' && value !== undefined,
  )
  if (flags.cluster === undefined) {
    const [first] = given
    if (!first) return undefined
    throw new UsageError(`${where}: ${flagOf(first[0])} must come with --cluster, got no --cluster`)
  }
  const scheduler: Scheduler = schedulers[flags.cluster]
  const { clusterTasks, clusterCpus = 1, clusterMemory, clusterGpus, clusterTime } = flags
  if (clusterTasks !== undefined && clusterTasks > mostTasks) {
    throw new UsageError(`${where}: --cluster-tasks must be in [1, ${mostTasks}], got ${clusterTasks}`)
  }
  return {
    scheduler,
    tasks: clusterTasks,
    resources: {
      cpus: clusterCpus,
      ...(clusterMemory !== undefined && { memory: clusterMemory }),
      ...(clusterGpus !== undefined && { gpus: clusterGpus }),
      ...(clusterTime !== undefined && { seconds: clusterTime }),
    },
    options: optionsOf(scheduler, new Map(given), where),
    folder: flags.clusterFolder,
    dryRun: flags.clusterDryRun === true,
  }
}

/** Slurm's arrays have at most so many tasks unless it is configured otherwise. */
const mostTasks = 1000

function optionsOf(
  { title, options }: Scheduler,
  given: ReadonlyMap<string, unknown>,
  where: string,
): Record<string, string> {
  const values: Record<string, string> = {}
  for (const { name, titles } of schedulerOptions()) {
    const value = given.get(keyOf(name))
    if (value === undefined) continue
    if (!titles.includes(title)) {
      throw new UsageError(`${where}: --cluster-${name} must be left out for ${title}, got ${value}`)
    }
    values[name] = String(value)
  }
  for (const { name, value, help, isRequired } of options) {
    if (!isRequired || values[name] !== undefined) continue
    throw new UsageError(
      `${where}: --cluster-${name} <${value}> must be given for ${title}, got none (${help})`,
    )
  }
  return values
}

function keyOf(name: string): string {
  return `cluster-${name}`.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
}

function flagOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`
}

/** Reads a size of memory, in MiB. */
function memorySize(text: string): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)\s*([MG])(?:i?B)?$/i.exec(text) ?? []
  const size = Math.ceil(Number(number) * (unit.toUpperCase() === 'G' ? 1024 : 1))
  if (number !== undefined && size > 0) return size
  throw new InvalidArgumentError('It must be a size above 0 in M or G: 8G, or 512M.')
}

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** Reads a time, in seconds. */
function timeLimit(text: string): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text) ?? []
  if (number !== undefined) return atLeastOne(Math.ceil(Number(number) * (unitSeconds[unit] ?? 0)))
  const [, days = '0', hours, minutes, seconds] =
    /^(?:(\d+)-)?(\d{1,3}):([0-5]\d):([0-5]\d)$/.exec(text) ?? []
  if (hours === undefined) return atLeastOne(0)
  return atLeastOne(Number(days) * 86_400 + Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds))
}

function atLeastOne(seconds: number): number {
  if (seconds > 0) return seconds
  throw new InvalidArgumentError('It must be a time above 0: 90m, 4h, 2d, 04:00:00, or 1-12:00:00.')
}

/**
 * Notes the options that a command is called with, as words in their order.
 *
 * @returns these words, without those of some options; to be called by the action of the command
 */
export function notedOptions(command: Command): (leftOut: readonly string[]) => string[] {
  const noted: { readonly key: string; readonly words: readonly string[] }[] = []
  for (const option of command.options) {
    command.on(`option:${option.name()}`, (value?: string | null) => {
      const flag = option.long ?? option.flags
      const words = typeof value === 'string' ? [flag, value] : [flag]
      noted.push({ key: option.attributeName(), words })
    })
  }
  return leftOut =>
    noted
      .filter(({ key }) => !key.startsWith('cluster') && !leftOut.includes(key))
      .flatMap(({ words }) => words)
}
