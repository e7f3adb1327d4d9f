import { type ChildReport, factOf, secondsOf } from '../../scripts/run/measuring/child-report.js'
import { median } from '../../scripts/run/measuring/statistics.js'
import type { ComputeMode } from '../compute-mode.js'
import type { NetworkKind, NetworkSize } from '../jobs.js'
import type { Peer } from '../peers.js'

/** The networks, dense first. */
export const networks: readonly NetworkKind[] = ['wrn', 'wrn-pmoe']

/** A network on images of one size. */
export interface TrainingSetting extends NetworkSize {
  readonly name: string
  readonly batch: number
  /** Whether the targets are about this setting. */
  readonly hasTargets: boolean
}

/** What is measured. */
export const fullSettings: readonly TrainingSetting[] = [
  {
    name: '64x64, batch 16',
    hasTargets: true,
    size: 64,
    batch: 16,
    classes: 4,
    widen: 10,
    experts: 8,
    keep: 2,
    patch: 4,
    kernel: 3,
  },
  {
    name: '32x32, batch 64',
    hasTargets: false,
    size: 32,
    batch: 64,
    classes: 10,
    widen: 10,
    experts: 4,
    keep: 16,
    patch: 1,
    kernel: 1,
  },
]

/** Tiny sizes that show that everything runs. */
export const quickSettings: readonly TrainingSetting[] = [
  {
    name: '16x16, batch 2',
    hasTargets: true,
    size: 16,
    batch: 2,
    classes: 4,
    widen: 1,
    experts: 4,
    keep: 2,
    patch: 2,
    kernel: 3,
  },
]

/** The name of a measuring process: `ours wrn-pmoe float32`. */
export function nameOf(who: 'ours' | Peer, network: NetworkKind, precision: ComputeMode): string {
  return `${who} ${network} ${precision}`
}

/** The median seconds a step of one process. */
export function stepSeconds(report: ChildReport): number {
  return median(secondsOf(report, 'step'))
}

/** The peak memory of one process, in bytes, when its steps were done. */
export function peakBytes(report: ChildReport): number {
  return factOf(report, 'peak bytes')
}

/** FLOP/s over the whole training step. */
export function stepRate(report: ChildReport): number {
  return factOf(report, 'FLOP') / stepSeconds(report)
}

/** FLOP/s of the fastest of the network's convolutions, each by its median. */
export function convolutionRate(report: ChildReport): number {
  const names = Object.keys(report.seconds).filter(name => name.startsWith('convolution '))
  return Math.max(...names.map(name => factOf(report, name) / median(secondsOf(report, name))))
}

/** What a step reaches of the rate of the fastest convolution in the same process. */
export function rateShare(report: ChildReport): number {
  return stepRate(report) / convolutionRate(report)
}

/** Whether convolutions were timed in this process. */
export function hasConvolutions(report: ChildReport): boolean {
  return Object.keys(report.seconds).some(name => name.startsWith('convolution '))
}
