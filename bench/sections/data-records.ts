import { type ChildReport, factOf, secondsOf } from '../../scripts/run/measuring/child-report.js'
import { countText, ratioText, secondsText } from '../../scripts/run/measuring/number-text.js'
import { median, pairRatios } from '../../scripts/run/measuring/statistics.js'
import type { SectionResult, Table } from '../bench-result.js'
import type { RecordsJob } from '../jobs.js'
import { measureInOneProcess } from '../one-process.js'
import { type BenchContext, roundsOf } from '../section.js'

const who = 'records'

/** Measures how fast files of records are read and written: workload (i). */
export async function measureRecordFiles(context: BenchContext): Promise<SectionResult> {
  const job: RecordsJob = {
    workload: 'records',
    backend: 'cpu',
    ...roundsOf(context, { warmUp: 1, rounds: 7 }),
    records: context.quick ? 200 : 50_000,
  }
  return measureInOneProcess('i', who, job, context, { table: recordsTable })
}

/** The table: records a second on one core, by what is done with them. */
export function recordsTable(report: ChildReport): Table {
  const each = (name: string, count: string) =>
    secondsOf(report, name).map(seconds => seconds / factOf(report, count))
  const byPackage = each('read by the package', 'package records')
  const row = (what: string, seconds: readonly number[]) => [
    what,
    secondsText(median(seconds)),
    countText(1 / median(seconds)),
    ratioText(median(pairRatios(byPackage, seconds))),
  ]
  return {
    letter: 'i',
    title: 'Files of records, 32x32 RGB',
    sentence:
      'Compares reading TFRecord files of images on one core, both checksums of every record checked, with the reader of the npm package tfrecord.',
    head: ['what', 'a record', 'records/s', 'times the package'],
    rows: [
      row('read, checksums checked', each('read', 'records')),
      row('the same, decoded to pixels and label', each('read images', 'records')),
      row('read and decoded by the package', byPackage),
      row('encode, with checksums', each('write', 'records')),
    ],
  }
}
