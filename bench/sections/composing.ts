import { type ChildReport, factOf, secondsOf } from '../../scripts/run/measuring/child-report.js'
import { countText, secondsText } from '../../scripts/run/measuring/number-text.js'
import { median } from '../../scripts/run/measuring/statistics.js'
import type { SectionResult, Table } from '../bench-result.js'
import type { ComposingJob } from '../jobs.js'
import { measureInOneProcess } from '../one-process.js'
import { type BenchContext, roundsOf } from '../section.js'

const who = 'composing'

/** Measures how fast images are composed: workload (m). */
export async function measureComposings(context: BenchContext): Promise<SectionResult> {
  const job: ComposingJob = {
    workload: 'composing',
    backend: 'cpu',
    ...roundsOf(context, { warmUp: 2, rounds: 11 }),
    images: context.quick ? 100 : 20_000,
  }
  return measureInOneProcess('m', who, job, context, { table: composingTable })
}

/** The table: composed images a second on one core. */
export function composingTable(report: ChildReport): Table {
  const row = (what: string, name: string, count: string): string[] => {
    const typical = median(secondsOf(report, name)) / factOf(report, count)
    return [what, secondsText(typical), countText(1 / typical)]
  }
  return {
    letter: 'm',
    title: 'Composing images',
    sentence: 'Measures how fast images are composed on one core, from pools in memory.',
    head: ['what', 'an image', 'images/s'],
    rows: [
      row('four images of 16x16 RGB in quadrants', 'quadrants', 'images'),
      row('an image of 16x16 RGB on a background of 32x32', 'backgrounds', 'images'),
      row('a grid of 4x4 grey images of 28x28', 'patch grids', 'patch grids'),
    ],
  }
}
