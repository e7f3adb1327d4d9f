import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFilesAtomic } from '../../../src/files/atomic.js'
import type { ExportFolder } from '../../../src/files/export-output.js'
import { figurePng } from '../../../src/files/images/figure-png.js'
import { chartSvg } from '../../../src/report/charts.js'
import { latencyFigureSpec } from '../../../src/report/latency-figure.js'
import { markdownTable } from '../../../src/report/study-page.js'
import { textTable } from '../../terminal/text-table.js'
import type { LatencySettings } from './latency-plan.js'
import { engineText, type LatencyRow, latencyTable } from './latency-table.js'
import type { Machine } from './machine.js'

/** How the file of the numbers says what it is. */
export const resultsFormat = 'pmoe bench'

/** Everything that was measured, as `bench.json` holds it. */
export interface LatencyResults {
  readonly format: typeof resultsFormat
  /** Version of this library. */
  readonly version: string
  /** The call, without its paths. */
  readonly command: string
  readonly machine: Machine
  readonly settings: LatencySettings
  /** How many images were predicted, in turn. */
  readonly images: number | 'noise'
  readonly rows: readonly LatencyRow[]
}

const files = { results: 'bench.json', table: 'table.md', svg: 'figure.svg', png: 'figure.png' } as const

/** A folder of results, known by what its numbers say of themselves. */
export const resultsFolder: ExportFolder = {
  marker: files.results,
  async list(directory) {
    try {
      const text = await readFile(join(directory, files.results), 'utf8')
      return (JSON.parse(text) as LatencyResults).format === resultsFormat ? Object.values(files) : undefined
    } catch {
      return undefined
    }
  },
}

/** Writes numbers, table and picture into a folder; without a picture where nothing was measured. */
export async function writeResults(directory: string, results: LatencyResults): Promise<void> {
  const svg = await figureOf(results)
  await writeFilesAtomic(
    [
      [files.results, `${JSON.stringify(results, null, 1)}\n`] as const,
      [files.table, tableMarkdown(results)] as const,
      ...(svg === undefined ? [] : [[files.svg, svg] as const, [files.png, await figurePng(svg)] as const]),
    ].map(([name, content]) => [join(directory, name), content] as const),
  )
}

/** The results for a terminal of so many columns. */
export function resultsText(results: LatencyResults, columns: number): string {
  const { head, rows, failures } = latencyTable(results.rows)
  return [textTable(head, rows, columns), '', ...failures, ...sentences(results)].join('\n')
}

function tableMarkdown(results: LatencyResults): string {
  const { head, rows, failures } = latencyTable(results.rows)
  const { machine } = results
  return [
    '# Latency',
    `\`${results.command}\`, ${machine.date}, ${machine.processor}, ${machine.cores} cores, Node ${machine.node}, ` +
      `load ${machine.loadBefore.toFixed(2)} before the start.`,
    markdownTable({ head, rows }),
    ...(failures.length > 0 ? [failures.map(failure => `- ${failure}`).join('\n')] : []),
    `${sentences(results).join(' ')}\n`,
  ].join('\n\n')
}

/** What the columns mean and how they were measured. */
function sentences({ settings, images, rows }: LatencyResults): string[] {
  const { rounds, runs, warmUp, seconds } = settings
  const fed = images === 'noise' ? 'Random images' : `${images} images`
  const hasDense = rows.some(({ over }) => over?.dense !== undefined)
  const software = [...new Set(rows.flatMap(row => row.software ?? []))].join('; ')
  return [
    `${fed}; each line is ${rounds} ${rounds === 1 ? 'process' : 'processes'} of its own, in turn with the others, of up to ` +
      `${runs} timed predictions (none begins after ${seconds} s) after up to ${warmUp} others.`,
    ...(hasDense
      ? [
          'The dense networks have untrained weights, which are as fast as trained ones; work is multiply-adds over theirs.',
        ]
      : []),
    ...(software === '' ? [] : [`${software}.`]),
  ]
}

async function figureOf({ rows, settings }: LatencyResults): Promise<string | undefined> {
  const severalThreads = settings.threads.length > 1
  const points = rows.flatMap(row => {
    const { model, seconds, batch, threads } = row
    if (!seconds || batch === undefined) return []
    const computedBy = severalThreads ? `${engineText(row)}, ${threads}` : engineText(row)
    return [{ model, computedBy, batch, median: seconds.median, percentile95: seconds.percentile95 }]
  })
  if (points.length === 0) return undefined
  const title = severalThreads ? 'Time of a batch, by number of threads' : 'Time of a batch'
  return chartSvg(latencyFigureSpec(points, { title }))
}
