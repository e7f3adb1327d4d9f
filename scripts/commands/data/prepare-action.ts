import { type DatasetEntry, datasetEntry } from '../../../src/data/datasets/datasets.js'
import { halfTitles } from '../../../src/data/datasets/image-folder/folder-halves.js'
import {
  type PreparedHalf,
  type PreparedManifest,
  preparedHalves,
} from '../../../src/data/prepared/manifest.js'
import { datasetSource } from '../../../src/files/data-folder.js'
import { decodeImage } from '../../../src/files/images/image-files.js'
import { type PrepareProgress, prepareDataset } from '../../../src/files/prepared/prepare.js'
import { regionsIn } from '../../../src/files/regions/open-regions.js'
import { dataRequest } from '../../run/dataset-settings.js'
import { checkFolder, checkSettings, datasetOptions, unreadableNotes } from '../../run/run-data.js'
import type { GivenFlags } from '../../run/train-settings.js'
import { dataPath } from '../../terminal/data-path.js'
import { interruptedExitCode, onInterrupt } from '../../terminal/interrupt.js'
import { progressLog } from '../../terminal/progress-log.js'
import { noteText } from '../../terminal/safe-output.js'
import { textTable } from '../../terminal/text-table.js'
import { duration } from '../../terminal/training-log.js'
import { asUsage, UsageError } from '../../terminal/usage-error.js'

/** The flags of `pmoe data prepare`, as commander hands them over; those of `datasetSettings` are among them. */
export interface PrepareRequest extends GivenFlags {
  readonly data?: string
  readonly out: string
  readonly seed?: number
  readonly shardRecords?: number
  readonly unscaled?: boolean
  readonly force?: boolean
  readonly json?: boolean
}

/** Prepared images are pixels; others are drawn in no time. */
function checkPixels({ name, values }: DatasetEntry): void {
  if (values !== 'floats') return
  throw new UsageError(
    `data prepare: dataset must have images of pixels, got ${name}, which has floats (train on it without preparing)`,
  )
}

/** Images that are files of several sizes are scaled to one, unless asked otherwise; others have one size. */
function unscaledBy({ name, source, regions }: DatasetEntry, { unscaled, data, whiteLevel }: PrepareRequest) {
  if (!unscaled) return undefined
  if (source === 'folder' && regions && data !== undefined) {
    return regionsIn(data, typeof whiteLevel === 'number' ? { whiteLevel } : {})
  }
  throw new UsageError(
    `data prepare: --unscaled must be for image-folder, whose images have several sizes, got ${name}`,
  )
}

/** Prepares a dataset; sets the exit code when interrupted. */
export async function runPrepare(dataset: string, request: PrepareRequest): Promise<void> {
  const { out, json = false, shardRecords, force = false, seed = 1 } = request
  const entry = datasetEntry(dataset)
  checkFolder('data prepare', entry, request.data)
  checkPixels(entry)
  const requested = dataRequest(dataset, dataPath(request.data), request)
  asUsage(() => checkSettings(entry, requested))
  const unscaled = unscaledBy(entry, request)
  const log = progressLog(`Preparing ${dataset}`, 'images', { json })
  const interrupt = onInterrupt(() => log.note('Stopping …'))
  const started = performance.now()
  let last: PrepareProgress | undefined
  let notes: readonly string[] = []
  try {
    const manifest = await prepareDataset({
      entry,
      source: datasetSource(entry, request.data),
      options: datasetOptions(requested, seed),
      decode: decodeImage,
      directory: out,
      ...(unscaled && { unscaled }),
      ...(shardRecords !== undefined && { recordsPerShard: shardRecords }),
      force,
      signal: interrupt.signal,
      onNotes(received) {
        notes = received
      },
      onProgress(progress) {
        last = progress
        const { done, total, kept, unreadable } = progress
        log.update(done, total, kept, unreadable.length > 0 ? `  ${unreadable.length} unreadable` : '')
      },
    })
    log.close()
    const seconds = (performance.now() - started) / 1000
    process.stdout.write(
      json
        ? jsonText(manifest, out, seconds, notes)
        : summary(manifest, out, seconds, last?.kept ?? 0, notes),
    )
  } catch (error) {
    log.close()
    if (!interrupt.signal.aborted) throw error
    const where = last ? `${last.done} of ${last.total} images` : 'no image'
    process.stderr.write(
      `Stopped after ${where}; whole files are kept, and the same command goes on from there\n`,
    )
    process.exitCode = interruptedExitCode
  } finally {
    log.close()
    interrupt.release()
  }
}

function jsonText(
  manifest: PreparedManifest,
  directory: string,
  seconds: number,
  notes: readonly string[],
): string {
  return `${JSON.stringify({ type: 'prepared', directory, seconds, manifest, notes })}\n`
}

function summary(
  manifest: PreparedManifest,
  directory: string,
  seconds: number,
  numKept: number,
  notes: readonly string[],
): string {
  const { classNames, groupNames, shape } = manifest
  const halves = preparedHalves(manifest)
  const table = (
    what: string,
    names: readonly string[],
    countsOf: (half: PreparedHalf) => readonly number[] | undefined,
  ) =>
    textTable(
      [what, ...halves.map(([name]) => name)],
      names.map((name, i) => [name, ...halves.map(([, half]) => `${countsOf(half)?.[i] ?? 0}`)]),
    )
  const tables = [
    table('class', classNames, half => half.classCounts),
    ...(groupNames ? [table('group', groupNames, half => half.groupCounts)] : []),
  ]
  const unreadable = halves.flatMap(([, half]) => half.unreadable)
  const images = halves.map(([name, { count }]) => `${count} ${halfTitles[name]}`)
  const last = images.pop()
  const total = halves.reduce((sum, [, { count }]) => sum + count, unreadable.length)
  const rate = ((total - numKept) / seconds).toFixed(0)
  const keptText = numKept > 0 ? `, ${numKept} of them before` : ''
  const lines = [...notes, ...unreadableNotes(unreadable)].map(note => `${noteText(note)}\n`)
  return `${tables.join('\n\n')}\n
Prepared ${images.join(', ')} and ${last} images of ${manifest.dataset} (${shape.join('x')})${keptText} in ${duration(seconds)}, ${rate} images/s: ${directory}
${lines.join('')}`
}
