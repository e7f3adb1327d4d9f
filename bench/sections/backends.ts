import type { ChildCommand } from '../../scripts/run/measuring/child-process.js'
import { quartilesText, ratiosText, secondsText } from '../../scripts/run/measuring/number-text.js'
import { type Sitting, sit } from '../../scripts/run/measuring/sitting.js'
import { summarize } from '../../scripts/run/measuring/statistics.js'
import type { BackendName } from '../../src/backend/choose.js'
import { findNative, whyUnusable } from '../../src/backend/native/native.js'
import type { Rounds } from '../alternate.js'
import type { SectionResult, Table } from '../bench-result.js'
import type { NetworkKind, TrainingJob } from '../jobs.js'
import { ownCommand } from '../own-command.js'
import { type BenchContext, turnsOf } from '../section.js'
import { asMeasured, type MeasuredTargets } from '../targets.js'
import { networks, stepSeconds } from './training-numbers.js'

type MeasuredBackend = Exclude<BackendName, 'tensorflow-gpu' | 'webgpu' | 'webgpu-software'>

const size = {
  size: 32,
  batch: 16,
  classes: 10,
  widen: 1,
  experts: 4,
  keep: 16,
  patch: 1,
  kernel: 1,
} as const

const quickSize = { ...size, size: 16, batch: 2, keep: 4 } as const

/** Steps of one process. Plain JavaScript takes half a minute for each, so that no warm-up could be seen in it. */
const steps: Readonly<Record<MeasuredBackend, Rounds>> = {
  tensorflow: { warmUp: 2, rounds: 9 },
  wasm: { warmUp: 2, rounds: 9 },
  cpu: { warmUp: 0, rounds: 1 },
}

/** Measures a training step of slim networks on every backend: workload (e). */
export async function measureBackends(context: BenchContext): Promise<SectionResult> {
  const native = findNative().some(candidate => whyUnusable(candidate) === undefined)
  const backends: MeasuredBackend[] = native ? ['tensorflow', 'wasm', 'cpu'] : ['wasm', 'cpu']
  const commands = networks.flatMap(network => backends.map(backend => command(network, backend, context)))
  const sitting = await sit('(e)', commands, turnsOf(context, 3), context)
  return {
    tables: [backendTable(sitting, backends, context.quick ? quickSize : size)],
    measured: backendTargets(sitting),
    reports: Object.fromEntries(sitting.reports),
    failures: native ? sitting.failures : [...sitting.failures, '(e): native TensorFlow is not provided'],
  }
}

/** What a sitting says of the targets. */
export function backendTargets(sitting: Sitting): MeasuredTargets {
  const targets = networks.flatMap(network => {
    const ratio = sitting.ratio(nameOf(network, 'wasm'), nameOf(network, 'cpu'), stepSeconds)
    return ratio ? [[network === 'wrn' ? 'wasm wrn' : 'wasm pmoe', asMeasured(ratio)]] : []
  })
  return Object.fromEntries(targets)
}

/** The table: a line for each network and backend. */
export function backendTable(
  sitting: Sitting,
  backends: readonly MeasuredBackend[],
  { size: side, batch }: Pick<TrainingJob, 'size' | 'batch'>,
): Table {
  const rows = networks.flatMap(network =>
    backends.flatMap(backend => {
      const who = nameOf(network, backend)
      const times = sitting.numbers(who, stepSeconds)
      if (!times) return []
      const time = summarize(times)
      const by = (other: MeasuredBackend) => {
        if (other === backend) return '1'
        const ratio = sitting.ratio(who, nameOf(network, other), stepSeconds)
        return ratio ? ratiosText(ratio) : 'not measured'
      }
      return [[network, backend, secondsText(time.median), quartilesText(time), by('cpu'), by('tensorflow')]]
    }),
  )
  return {
    letter: 'e',
    title: `Backends: a training step of WRN-10-1, ${side}x${side}, batch ${batch}`,
    sentence:
      'Compares the wasm backend (one thread) with tfjs in plain JavaScript (cpu) and with native TensorFlow.',
    head: ['network', 'backend', 'median', 'quartiles', '/ cpu', '/ tensorflow'],
    rows,
  }
}

function command(network: NetworkKind, backend: MeasuredBackend, { quick }: BenchContext): ChildCommand {
  return ownCommand(nameOf(network, backend), {
    workload: 'training',
    network,
    backend,
    precision: 'float32',
    convolutions: false,
    ...(quick ? { warmUp: 1, rounds: 1 } : steps[backend]),
    ...(quick ? quickSize : size),
  })
}

function nameOf(network: NetworkKind, backend: MeasuredBackend): string {
  return `${network} on ${backend}`
}
