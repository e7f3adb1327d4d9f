import type { ChildCommand } from '../../scripts/run/measuring/child-process.js'
import { type Sitting, sit } from '../../scripts/run/measuring/sitting.js'
import type { SectionResult, Table } from '../bench-result.js'
import { type ComputeMode, modes, ownModes } from '../compute-mode.js'
import type { NetworkKind, TrainingJob } from '../jobs.js'
import { ownCommand } from '../own-command.js'
import { type Peer, peerCommand } from '../peers.js'
import { type BenchContext, turnsOf } from '../section.js'
import { fullSettings, nameOf, networks, quickSettings, type TrainingSetting } from './training-numbers.js'
import { memoryTable, peerTable, rateTable, stepTable } from './training-tables.js'
import { trainingTargets } from './training-targets.js'

/** Rounds of processes, and the steps in each process; the median of its steps counts. */
const processes = 5
const steps = { warmUp: 2, rounds: 7 }

/**
 * Measures training steps of the networks, beside the peers where these are installed: workloads (b), (c), (g) and (h),
 * all from the same sittings.
 */
export async function measureTrainings(context: BenchContext): Promise<SectionResult> {
  const sittings: [TrainingSetting, Sitting][] = []
  for (const setting of context.quick ? quickSettings : fullSettings) {
    const commands = modes.flatMap(mode => [
      ...ownCommands(setting, mode, context),
      ...peerCommands(setting, mode, context),
    ])
    sittings.push([setting, await sit(setting.name, commands, turnsOf(context, processes), context)])
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
  const tables: Record<'b' | 'c' | 'g' | 'h', () => Table> = {
    b: () => stepTable(sittings),
    c: () => peerTable(sittings),
    g: () => memoryTable(sittings),
    h: () => rateTable(sittings),
  }
  const requested = (['b', 'c', 'g', 'h'] as const).filter(letter => context.only.has(letter))
  // Without peers there is nothing to compare with.
  return requested
    .filter(letter => letter !== 'c' || context.python !== undefined)
    .map(letter => tables[letter]())
}

function ownCommands(setting: TrainingSetting, mode: ComputeMode, context: BenchContext): ChildCommand[] {
  if (!ownModes(context.backend).includes(mode)) return []
  return networks.map(network => {
    const job: TrainingJob = {
      workload: 'training',
      backend: context.backend,
      convolutions: context.only.has('h') && mode === 'float32',
      ...jobOf(setting, network, mode, context),
    }
    return ownCommand(nameOf('ours', network, mode), job)
  })
}

function peerCommands(setting: TrainingSetting, mode: ComputeMode, context: BenchContext): ChildCommand[] {
  const { python, only } = context
  if (python === undefined || !(only.has('c') || only.has('g'))) return []
  return peersIn(mode).flatMap(peer =>
    networks.map(network =>
      peerCommand(nameOf(peer, network, mode), python, peer, jobOf(setting, network, mode, context)),
    ),
  )
}

/** The peers that are measured in a mode. */
function peersIn(mode: ComputeMode): readonly Peer[] {
  if (mode === 'float32') return ['keras', 'torch']
  return mode === 'bf16' ? ['torch'] : []
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
