import { type ChildReport, factOf, secondsOf } from '../../scripts/run/measuring/child-report.js'
import { bytesText, countText, ratioText } from '../../scripts/run/measuring/number-text.js'
import { median } from '../../scripts/run/measuring/statistics.js'
import type { SectionResult, Table } from '../bench-result.js'
import type { MemoryJob } from '../jobs.js'
import { measureInOneProcess } from '../one-process.js'
import type { BenchContext } from '../section.js'

const who = 'preparing'

/** Measures memory and speed of preparing image files: workload (j). */
export async function measurePreparing(context: BenchContext): Promise<SectionResult> {
  const job: MemoryJob = {
    workload: 'memory',
    backend: 'cpu',
    warmUp: 0,
    rounds: 1,
    images: context.quick ? 40 : 20_000,
  }
  return measureInOneProcess('j', who, job, context, { table: memoryCurve })
}

/** The table: memory of the process after more and more images. */
export function memoryCurve(report: ChildReport): Table {
  const images = factOf(report, 'images')
  const moments = Object.keys(report.facts).filter(name => name.startsWith('bytes after'))
  const [first = 'bytes at the start'] = moments
  const row = (what: string, name: string) => [
    what,
    bytesText(factOf(report, name)),
    ratioText(factOf(report, name) / factOf(report, first)),
  ]
  const rate = images / median(secondsOf(report, 'prepare'))
  return {
    letter: 'j',
    title: 'Preparing image files',
    sentence: `Shows the memory of a process that decodes ${countText(images)} JPEG files of 178x218 to 64x64 and stores them.`,
    head: ['when', 'resident memory', 'to that after a tenth'],
    rows: [
      row('at the start', 'bytes at the start'),
      ...moments.map(name => row(name.replace('bytes ', ''), name)),
      row('at most', 'peak bytes'),
    ],
    notes: [`${countText(rate)} images/s`],
  }
}
