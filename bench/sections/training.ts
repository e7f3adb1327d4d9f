import type { SectionResult, Table } from '../bench-result.js'
import { type ChildCommand, ownCommand } from '../child-process.js'
import { type ComputeMode, ownModes, peerModes } from '../compute-mode.js'
import type { NetworkKind, TrainingJob } from '../jobs.js'
import { type Peer, peerCommand } from '../peers.js'
import { type BenchContext, roundsOf } from '../section.js'
import { type Sitting, sit } from '../sitting.js'
import { fullSettings, nameOf, networks, quickSettings, type TrainingSetting } from './training-numbers.js'
import { memoryTable, peerTable, rateTable, stepTable } from './training-tables.js'
import { trainingTargets } from './training-targets.js'

/** Processes, one for each round; steps within each, the median of which counts. */
const processes = { warmUp: 0, rounds: 5 }
const steps = { warmUp: 2, rounds: 7 }

/**
 * Measures training steps of the networks, beside the peers where these are there: workloads (b), (c), (g) and (h), all
 * from the same sittings.
 */
export async function measureTrainings(context: BenchContext): Promise<SectionResult> {
  const sittings: [TrainingSetting, Sitting][] = []
  for (const setting of context.quick ? quickSettings : fullSettings) {
    const commands = [...ownCommands(setting, context), ...peerCommands(setting, context)]
    const { rounds } = roundsOf(context, processes)
    sittings.push([setting, await sit(setting.name, commands, rounds, context)])
  }
  const targeted = sittings.find(([setting]) => setting.hasTargets)?.[1]
  return {
    tables: tablesOf(sittings, context),
    measured: targeted ? trainingTargets(targeted) : {},
    reports: Object.fromEntries(
      sittings.flatMap(([setting, sitting]) =>
        [...sitting.reports].map(([who, reports]) => [`${setting.name}: ${who}`, reports]),
      ),
    ),
    failures: sittings.flatMap(([, sitting]) => sitting.failures),
  }
}

function tablesOf(sittings: readonly [TrainingSetting, Sitting][], context: BenchContext): Table[] {
  const made: Record<'b' | 'c' | 'g' | 'h', () => Table> = {
    b: () => stepTable(sittings),
    c: () => peerTable(sittings),
    g: () => memoryTable(sittings),
    h: () => rateTable(sittings),
  }
  const asked = (['b', 'c', 'g', 'h'] as const).filter(letter => context.only.has(letter))
  // Without peers there is nothing to compare with.
  return asked.filter(letter => letter !== 'c' || context.python !== undefined).map(letter => made[letter]())
}

function ownCommands(setting: TrainingSetting, context: BenchContext): ChildCommand[] {
  return ownModes(context.backend).flatMap(precision =>
    networks.map(network => {
      const job: TrainingJob = {
        workload: 'training',
        backend: context.backend,
        convolutions: context.only.has('h') && precision === 'float32',
        ...jobOf(setting, network, precision, context),
      }
      return ownCommand(nameOf('ours', network, precision), job)
    }),
  )
}

function peerCommands(setting: TrainingSetting, context: BenchContext): ChildCommand[] {
  const { python, only } = context
  if (python === undefined || !(only.has('c') || only.has('g'))) return []
  const entrants: readonly (readonly [Peer, ComputeMode])[] = [
    ['keras', 'float32'],
    ...peerModes.map(precision => ['torch', precision] as const),
  ]
  return entrants.flatMap(([peer, precision]) =>
    networks.map(network =>
      peerCommand(
        nameOf(peer, network, precision),
        python,
        peer,
        jobOf(setting, network, precision, context),
      ),
    ),
  )
}

function jobOf(
  setting: TrainingSetting,
  network: NetworkKind,
  precision: ComputeMode,
  context: BenchContext,
) {
  const { name: _, hasTargets: __, ...size } = setting
  const { warmUp, rounds } = context.quick ? { warmUp: 1, rounds: 2 } : steps
  return { ...size, network, precision, warmUp, rounds }
}
