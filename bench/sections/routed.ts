import { fileURLToPath } from 'node:url'
import type { ChildCommand } from '../../scripts/run/measuring/child-process.js'
import { type ChildReport, factOf, secondsOf } from '../../scripts/run/measuring/child-report.js'
import { megabytesText, ratiosText, secondsText, shareText } from '../../scripts/run/measuring/number-text.js'
import { type Sitting, sit } from '../../scripts/run/measuring/sitting.js'
import { median, pairRatios, type Summary, summarize } from '../../scripts/run/measuring/statistics.js'
import type { SectionResult, Table } from '../bench-result.js'
import type { RegionFilesJob, RoutedJob } from '../jobs.js'
import { ownCommand } from '../own-command.js'
import { type BenchContext, roundsOf, turnsOf } from '../section.js'
import { asMeasured, type MeasuredTargets } from '../targets.js'

/** Sides of images, in pixels. */
const fullSizes = [512, 1504]
const quickSizes = [64, 96]

/** Threads of TensorFlow and PyTorch. */
const threadCounts = [1, 2]

const model = { batch: 8, classes: 10, cell: 32, keep: 10 }
const quickModel = { ...model, batch: 2, keep: 2 }

/**
 * Measures training steps of a routed model beside the dense network of the same layers and beside PyTorch, and passes over files:
 * workload (r).
 */
export async function measureRoutedSteps(context: BenchContext): Promise<SectionResult> {
  const sizes = context.quick ? quickSizes : fullSizes
  const settings = sizes.flatMap(size => threadCounts.map(threads => ({ size, threads })))
  const commands = settings.flatMap(setting => commandsOf(setting, context))
  const steps = await sit('(r)', commands, turnsOf(context, 3), context)
  const files = await sit('(r)', [filesCommand(context, sizes.at(-1) as number)], 1, context)
  const report = files.reports.get(filesName)?.[0]
  return {
    tables: [stepTable(steps, settings), ...(report ? [filesTable(report, sizes.at(-1) as number)] : [])],
    measured: routedTargets(steps),
    reports: Object.fromEntries([...steps.reports, ...files.reports]),
    failures: [...steps.failures, ...files.failures],
  }
}

/** What a step is measured on. */
export interface RoutedSetting {
  readonly size: number
  readonly threads: number
}

type Contestant = 'routed' | 'dense' | 'PyTorch'

/** The name of a measuring process. */
export function processName(what: Contestant, { size, threads }: RoutedSetting): string {
  return `${what} ${size}x${size}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`
}

function commandsOf(setting: RoutedSetting, context: BenchContext): ChildCommand[] {
  const own = (['routed', 'dense'] as const).map(network => {
    const job = jobOf(network, setting, context)
    const command = ownCommand(processName(network, setting), job)
    const environment = { ...command.environment, TF_NUM_INTRAOP_THREADS: `${setting.threads}` }
    return { ...command, environment }
  })
  const peer = context.python === undefined ? [] : [torchRouted(context.python, setting, context)]
  return [...own, ...peer]
}

function jobOf(network: RoutedJob['network'], { size }: RoutedSetting, context: BenchContext): RoutedJob {
  return {
    ...{ workload: 'routed', network, backend: context.backend, size },
    ...(context.quick ? quickModel : model),
    ...roundsOf(context, { warmUp: 5, rounds: network === 'dense' ? 7 : 21 }),
  }
}

/** The measuring process of the peer. */
export function torchRouted(python: string, setting: RoutedSetting, context: BenchContext): ChildCommand {
  const script = fileURLToPath(new URL('../peers/torch_routed.py', import.meta.url))
  const { size, batch, classes, cell, keep, warmUp, rounds } = jobOf('routed', setting, context)
  const numbers = { size, batch, classes, cell, keep, threads: setting.threads, 'warm-up': warmUp, rounds }
  const flags = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, String(value)])
  return {
    who: processName('PyTorch', setting),
    program: python,
    arguments: [script, 'routed', ...flags],
    environment: {},
  }
}

const typical = (name: string) => (report: ChildReport) => median(secondsOf(report, name))
/** What steps add to the memory of the process. */
const added = (report: ChildReport) => factOf(report, 'peak bytes') - factOf(report, 'start bytes')

/** What was measured for the targets: with two threads. */
export function routedTargets(sitting: Sitting): MeasuredTargets {
  const ratio = (id: string, summary: Summary | undefined) => (summary ? { [id]: asMeasured(summary) } : {})
  const name = (what: Contestant, size: number) => processName(what, { size, threads: 2 })
  const bySize = (size: number) => ({
    ...ratio(`routed ${size}`, sitting.ratio(name('routed', size), name('dense', size), typical('step'))),
    ...ratio(
      `routed/torch ${size}`,
      sitting.ratio(name('routed', size), name('PyTorch', size), typical('step')),
    ),
  })
  return {
    ...bySize(512),
    ...bySize(1504),
    ...ratio('routed memory 512', sitting.ratio(name('routed', 512), name('dense', 512), added)),
    ...ratio('routed memory 1504/512', sitting.ratio(name('routed', 1504), name('routed', 512), added)),
  }
}

/** The table of steps: a line for every process. */
export function stepTable(sitting: Sitting, settings: readonly RoutedSetting[]): Table {
  const rows = settings.flatMap(setting => {
    const routed = processName('routed', setting)
    return (['routed', 'dense', 'PyTorch'] as const).map(what => {
      const own = processName(what, setting)
      const steps = sitting.numbers(own, typical('step'))
      if (!steps) return [own, ...Array<string>(6).fill('not measured')]
      const against = (number: (report: ChildReport) => number) => {
        const summary = what === 'routed' ? undefined : sitting.ratio(routed, own, number)
        return summary ? ratiosText(summary) : ''
      }
      return [
        own,
        secondsText(median(steps)),
        secondsText(median(sitting.numbers(own, typical('step, processor')) as number[])),
        megabytesText(median(sitting.numbers(own, added) as number[])),
        against(typical('step')),
        against(typical('step, processor')),
        against(added),
      ]
    })
  })
  return {
    letter: 'r',
    title: `A step of training on large images, ${model.keep} patches of each, batch ${model.batch}`,
    sentence:
      'Compares a step of a routed model, from bytes in memory to stepped weights (views, choice, cutting, forward, backward, Adam), ' +
      'with one of the dense network of the same layers, and with the same routed model in PyTorch, process by process in turn.',
    head: [
      'what',
      'a step',
      'processor time',
      'memory added',
      'routed / it',
      'in processor time',
      'in memory',
    ],
    rows,
    notes: ['Memory added: the peak of the process less what it held before the first step.'],
  }
}

const filesName = 'passes over files'

function filesCommand(context: BenchContext, size: number): ChildCommand {
  const job: RegionFilesJob = {
    ...{ workload: 'region-files', backend: context.backend, size, images: context.quick ? 4 : 64 },
    ...(context.quick ? quickModel : model),
    ...roundsOf(context, { warmUp: 1, rounds: 5 }),
  }
  return ownCommand(filesName, job)
}

/** The table of passes over files: how long each kind of file keeps training waiting. */
export function filesTable(report: ChildReport, size: number): Table {
  const memory = secondsOf(report, 'in memory')
  const kinds = Object.keys(report.seconds).filter(name => !name.endsWith(' waiting'))
  return {
    letter: 'r',
    title: `Training on files of ${size}x${size} pixels`,
    sentence:
      'Compares passes of training of the routed model over files, the views of the next batch read ahead, with one over the same image in memory.',
    head: ['files', 'an image', 'to memory', 'waiting, of the pass'],
    rows: kinds.map(kind => {
      const pass = secondsOf(report, kind)
      return [
        kind,
        secondsText(median(pass) / factOf(report, 'images')),
        kind === 'in memory' ? '1' : ratiosText(summarize(pairRatios(pass, memory))),
        shareText(median(pairRatios(secondsOf(report, `${kind} waiting`), pass))),
      ]
    }),
  }
}
