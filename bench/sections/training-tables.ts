import { type ChildReport, factOf } from '../../scripts/run/measuring/child-report.js'
import {
  bytesText,
  countText,
  giga,
  quartilesText,
  ratiosText,
  ratioText,
  secondsText,
  shareText,
} from '../../scripts/run/measuring/number-text.js'
import type { Sitting } from '../../scripts/run/measuring/sitting.js'
import { median, type Summary, summarize } from '../../scripts/run/measuring/statistics.js'
import type { Table } from '../bench-result.js'
import { type ComputeMode, modes } from '../compute-mode.js'
import type { NetworkKind } from '../jobs.js'
import type { Peer } from '../peers.js'
import {
  convolutionRate,
  hasConvolutions,
  nameOf,
  networks,
  peakBytes,
  rateShare,
  stepRate,
  stepSeconds,
  type TrainingSetting,
} from './training-numbers.js'

/** Settings with what was measured in them. */
type Sittings = readonly (readonly [TrainingSetting, Sitting])[]

const contenders = ['ours', 'keras', 'torch'] as const
const nothing = 'not measured'

/** Workload (b): one training step of our networks. */
export function stepTable(sittings: Sittings): Table {
  const rows = sittings.flatMap(([setting, sitting]) =>
    ownEntries(sitting).map(({ network, precision, reports, who }) => {
      const time = summarize(reports.map(stepSeconds))
      const wrn = nameOf('ours', 'wrn', precision)
      return [
        setting.name,
        network,
        precision,
        secondsText(time.median),
        quartilesText(time),
        secondsText(time.minimum),
        countText(factOf(reports[0]!, 'parameters')),
        who === wrn ? '1' : ratiosOr(sitting.ratio(who, wrn, stepSeconds)),
        who === wrn ? '1' : ratioOr(sitting.ratio(who, wrn, report => factOf(report, 'FLOP'))),
      ]
    }),
  )
  return {
    letter: 'b',
    title: 'One training step',
    sentence:
      'Compares a step (forward, softmax cross-entropy, backward, SGD, reading the loss) of the dense network of depth ' +
      '10 with that of its sparse mixture, and the step with the work it has, in multiply-adds.',
    head: [
      'images',
      'network',
      'precision',
      'median',
      'quartiles',
      'fastest',
      'parameters',
      '/ wrn',
      'work / wrn',
    ],
    rows,
    notes: sittings.map(([setting]) => settingNote(setting)),
  }
}

/** Workload (c): the same step of the peers, and ours by theirs. */
export function peerTable(sittings: Sittings): Table {
  const compared: readonly (readonly [Peer, ComputeMode])[] = [
    ['keras', 'float32'],
    ['torch', 'float32'],
    ['torch', 'bf16'],
  ]
  const rows = sittings.flatMap(([setting, sitting]) =>
    compared.flatMap(([peer, precision]) =>
      networks.map(network => {
        const [ours, theirs] = [nameOf('ours', network, precision), nameOf(peer, network, precision)]
        return [
          setting.name,
          network,
          precision,
          timeOf(sitting, ours),
          peer,
          timeOf(sitting, theirs),
          ratiosOr(sitting.ratio(ours, theirs, stepSeconds)),
        ]
      }),
    ),
  )
  return {
    letter: 'c',
    title: 'One training step beside the peers',
    sentence:
      'Compares our step with that of Keras (mixture masked, as in the published code, in graph mode) and of PyTorch ' +
      '(mixture sparse, without BatchNorm in the experts; bf16 by autocast), in fresh processes that took turns.',
    head: ['images', 'network', 'precision', 'ours', 'peer', "peer's", 'ours / peer'],
    rows,
  }
}

/** Workload (g): the peak memory of every process. */
export function memoryTable(sittings: Sittings): Table {
  const rows = sittings.flatMap(([setting, sitting]) =>
    contenders.flatMap(who =>
      modes.flatMap(precision =>
        networks.flatMap(network => {
          const name = nameOf(who, network, precision)
          const peaks = sitting.numbers(name, peakBytes)
          if (!peaks) return []
          const keras = nameOf('keras', network, 'float32')
          const byKeras = name === keras ? '1' : ratiosOr(sitting.ratio(name, keras, peakBytes))
          return [[setting.name, network, precision, who, bytesText(median(peaks)), byKeras]]
        }),
      ),
    ),
  )
  return {
    letter: 'g',
    title: 'Peak memory of the training process',
    sentence:
      'Compares the largest resident memory of each process after its last step, median over the rounds.',
    head: ['images', 'network', 'precision', 'who', 'peak', '/ Keras'],
    rows,
  }
}

/** Workload (h): the rate of a step against the machine's best convolution rate. */
export function rateTable(sittings: Sittings): Table {
  const rows = sittings.flatMap(([setting, sitting]) =>
    ownEntries(sitting)
      .filter(({ reports }) => reports.every(hasConvolutions))
      .map(({ network, reports }) => {
        const shares = summarize(reports.map(rateShare))
        return [
          setting.name,
          network,
          giga(factOf(reports[0]!, 'FLOP')),
          giga(median(reports.map(stepRate))),
          giga(median(reports.map(convolutionRate))),
          shareText(shares.median),
          `${shareText(shares.lowerQuartile)} - ${shareText(shares.upperQuartile)}`,
        ]
      }),
  )
  return {
    letter: 'h',
    title: 'Rate of the whole training step, float32',
    sentence:
      "Compares the FLOP/s of a step (2 FLOP a multiply-add, padding counted, forward and backward) with those of the fastest of the network's " +
      'largest convolutions (forward alone), timed in the same process after the steps.',
    head: ['images', 'network', 'GFLOP a step', 'GFLOP/s', 'best convolution, GFLOP/s', 'share', 'quartiles'],
    rows,
  }
}

interface OwnEntry {
  readonly who: string
  readonly network: NetworkKind
  readonly precision: ComputeMode
  readonly reports: readonly ChildReport[]
}

function ownEntries(sitting: Sitting): OwnEntry[] {
  return modes.flatMap(precision =>
    networks.flatMap(network => {
      const who = nameOf('ours', network, precision)
      const reports = sitting.reports.get(who)
      return reports ? [{ who, network, precision, reports }] : []
    }),
  )
}

function settingNote({ name, classes, widen, experts, keep, patch, kernel }: TrainingSetting): string {
  return (
    `${name}: ${classes} classes, widening ${widen}; ${experts} experts of ${kernel}x${kernel} kernels keep ${keep} ` +
    `patches of ${patch}x${patch} each`
  )
}

function timeOf(sitting: Sitting, who: string): string {
  const times = sitting.numbers(who, stepSeconds)
  return times ? secondsText(median(times)) : nothing
}

function ratiosOr(ratio: Summary | undefined): string {
  return ratio ? ratiosText(ratio) : nothing
}

function ratioOr(ratio: Summary | undefined): string {
  return ratio ? ratioText(ratio.median) : nothing
}
