import type { ChildReport } from '../../scripts/run/measuring/child-report.js'
import type { Sitting } from '../../scripts/run/measuring/sitting.js'
import { type Summary, summarize } from '../../scripts/run/measuring/statistics.js'
import { asMeasured, type MeasuredTargets, type TargetId } from '../targets.js'
import { hasConvolutions, nameOf, peakBytes, rateShare, stepSeconds } from './training-numbers.js'

/** What a sitting says of the targets, as far as it measured what they are about. */
export function trainingTargets(sitting: Sitting): MeasuredTargets {
  const steps = (numerator: string, denominator: string) => sitting.ratio(numerator, denominator, stepSeconds)
  const [wrn, pmoe] = [nameOf('ours', 'wrn', 'float32'), nameOf('ours', 'wrn-pmoe', 'float32')]
  const kerasPmoe = nameOf('keras', 'wrn-pmoe', 'float32')
  const kerasWrn = nameOf('keras', 'wrn', 'float32')
  const summaries: Partial<Record<TargetId, Summary | undefined>> = {
    'pmoe/keras': steps(pmoe, kerasPmoe),
    'pmoe/torch': steps(pmoe, nameOf('torch', 'wrn-pmoe', 'float32')),
    'pmoe/torch bf16': steps(nameOf('ours', 'wrn-pmoe', 'bf16'), nameOf('torch', 'wrn-pmoe', 'bf16')),
    'wrn/keras': steps(wrn, kerasWrn),
    'pmoe/wrn': steps(pmoe, wrn),
    'memory wrn': sitting.ratio(wrn, kerasWrn, peakBytes),
    'memory pmoe': sitting.ratio(pmoe, kerasPmoe, peakBytes),
    'rate wrn': shares(sitting.reports.get(wrn)),
    'rate pmoe': shares(sitting.reports.get(pmoe)),
  }
  const measured = Object.entries(summaries).flatMap(([id, summary]) =>
    summary ? [[id, asMeasured(summary)]] : [],
  )
  return Object.fromEntries(measured)
}

function shares(reports: readonly ChildReport[] | undefined): Summary | undefined {
  return reports?.every(hasConvolutions) ? summarize(reports.map(rateShare)) : undefined
}
