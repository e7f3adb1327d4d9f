import { fileURLToPath } from 'node:url'
import type { ChildCommand } from '../../scripts/run/measuring/child-process.js'
import { type ChildReport, factOf, secondsOf } from '../../scripts/run/measuring/child-report.js'
import { ratiosText, secondsText } from '../../scripts/run/measuring/number-text.js'
import { type Sitting, sit } from '../../scripts/run/measuring/sitting.js'
import { median, pairRatios, summarize } from '../../scripts/run/measuring/statistics.js'
import type { SectionResult, Table } from '../bench-result.js'
import type { SamplesJob } from '../jobs.js'
import { ownCommand } from '../own-command.js'
import { type BenchContext, roundsOf, turnsOf } from '../section.js'
import { asMeasured, type MeasuredTargets } from '../targets.js'

const own = 'samples'
const torch = 'PyTorch'

type SamplesSize = Omit<SamplesJob, 'workload' | 'backend' | 'warmUp' | 'rounds'>

/** The data of Chen et al. 2022, whole. */
const full: SamplesSize = {
  ...{ samples: 16000, patches: 4, width: 50, experts: 8, filters: 8 },
  ...{ counts: [2, 3, 4, 8, 16], block: 128 },
}
const quick: SamplesSize = { ...full, samples: 60, counts: [2, 4], block: 4 }

/** Measures training steps of sample-level mixtures, beside PyTorch, and both forms of their experts: workload (n). */
export async function measureSampleMixtures(context: BenchContext): Promise<SectionResult> {
  const job: SamplesJob = {
    workload: 'samples',
    backend: context.backend,
    ...roundsOf(context, { warmUp: 2, rounds: 15 }),
    ...(context.quick ? quick : full),
  }
  const commands = [
    ownCommand(own, job),
    ...(context.python === undefined ? [] : [torchCommand(context.python, job)]),
  ]
  const sitting = await sit('(n)', commands, turnsOf(context, 4), context)
  const [report] = sitting.reports.get(own) ?? []
  return {
    tables: report ? [stepTable(sitting, job), formsTable(sitting, job)] : [],
    measured: sampleTargets(sitting),
    reports: Object.fromEntries(sitting.reports),
    failures: sitting.failures,
  }
}

/** The measuring process of the peer. */
export function torchCommand(python: string, job: SamplesJob): ChildCommand {
  const script = fileURLToPath(new URL('../peers/torch_sample_moe.py', import.meta.url))
  const { samples, patches, width, experts, filters, warmUp, rounds } = job
  const numbers = { samples, patches, width, experts, filters, 'warm-up': warmUp, rounds }
  const flags = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, String(value)])
  return { who: torch, program: python, arguments: [script, ...flags], environment: {} }
}

const typical = (name: string) => (report: ChildReport) => median(secondsOf(report, name))

/** What was measured for the target: ours beside the faster of PyTorch's two forms, round by round. */
export function sampleTargets(sitting: Sitting): MeasuredTargets {
  const ours = sitting.numbers(own, typical('step'))
  const theirs = sitting.numbers(torch, report => Math.min(typical('sorted')(report), typical('all')(report)))
  return ours && theirs ? { 'samples/torch': asMeasured(summarize(pairRatios(ours, theirs))) } : {}
}

/** The table of whole steps: ours, and PyTorch in both forms. */
export function stepTable(
  sitting: Sitting,
  { samples, patches, width, experts, filters }: SamplesJob,
): Table {
  const ours = sitting.numbers(own, typical('step')) as number[]
  const row = (what: string, process: string, name: string): string[] => {
    const seconds = sitting.numbers(process, typical(name))
    if (!seconds) return [what, 'not measured', '']
    return [what, secondsText(median(seconds)), ratiosText(summarize(pairRatios(ours, seconds)))]
  }
  return {
    letter: 'n',
    title: `SampleMoE step, ${samples} samples of ${patches}x1x${width}, M = ${experts}, J = ${filters}`,
    sentence:
      'Compares one step of full-batch training (forward, backward, normalised gradient descent) with the same in PyTorch, process by process in turn.',
    head: ['what', 'a step', 'time of ours / its time'],
    rows: [
      row('ours', own, 'step'),
      row('PyTorch, samples sorted by expert', torch, 'sorted'),
      row('PyTorch, all experts', torch, 'all'),
    ],
  }
}

/** The table of both forms of the experts: a line for every M. */
export function formsTable(sitting: Sitting, { counts, filters }: SamplesJob): Table {
  const [first] = sitting.reports.get(own) as readonly [ChildReport]
  const rows = counts.map(experts => {
    const all = sitting.numbers(own, typical(`all ${experts}`)) as number[]
    const sorted = sitting.numbers(own, typical(`sorted ${experts}`)) as number[]
    return [
      `${experts}`,
      secondsText(median(all)),
      secondsText(median(sorted)),
      ratiosText(summarize(pairRatios(sorted, all))),
      factOf(first, `block ${experts}`) === 0 ? 'all' : 'sorted',
    ]
  })
  return {
    letter: 'n',
    title: `Experts of SampleMoE, all of them or sorted, J = ${filters}`,
    sentence:
      'Compares forward and backward of the experts alone: every expert on every sample, and samples sorted by expert.',
    head: ['M', 'all', 'sorted', 'sorted / all', 'the layer takes'],
    rows,
  }
}
