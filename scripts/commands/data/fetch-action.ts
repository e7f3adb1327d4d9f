import { basename } from 'node:path'
import { shellCommand } from '../../../src/cluster/shell-command.js'
import { type PublishedDataset, publishedDatasets } from '../../../src/data/datasets/downloads.js'
import { type FetchedDataset, fetchDataset } from '../../../src/files/fetch/fetch-dataset.js'
import { interruptedExitCode, onInterrupt } from '../../terminal/interrupt.js'
import { type ProgressLog, progressLog } from '../../terminal/progress-log.js'
import { asUsage } from '../../terminal/usage-error.js'

/** The flags of `pmoe data fetch`. */
export interface DataFetchRequest {
  readonly out: string
  readonly from?: string
  readonly force?: boolean
  readonly json?: boolean
}

/** Downloads a published dataset and writes the command that trains on it; sets the exit code when interrupted. */
export async function runDataFetch(name: string, request: DataFetchRequest): Promise<void> {
  const dataset = asUsage(() => published(name))
  const { out, from, force, json } = request
  // With --json, sentences for people go to the error stream: programs read the output.
  const note = (text: string) => (json ? process.stderr : process.stdout).write(`${text}\n`)
  const transfer = transferLog(json === true)
  const interrupt = onInterrupt(() => {
    transfer.close()
    note('Stopping …')
  })
  try {
    const result = await fetchDataset(dataset, {
      out,
      from,
      force,
      signal: interrupt.signal,
      onStage(stage, file, origin) {
        transfer.close()
        if (stage === 'downloading') note(`${file.name} from ${origin}`)
      },
      onProgress: ({ received, total }, file) => transfer.show(file.name, received, total),
    })
    if (json) process.stdout.write(`${JSON.stringify({ type: 'fetched', dataset: name, ...result })}\n`)
    else note(resultText(result, dataset))
  } catch (error) {
    transfer.close()
    if (!interrupt.signal.aborted) throw error
    note(`Stopped; what has arrived is kept. Continue with: ${resumeCommand(name, request)}`)
    process.exitCode = interruptedExitCode
  } finally {
    transfer.close()
    interrupt.release()
  }
}

/** The published dataset of a name. */
function published(name: string): PublishedDataset {
  const dataset = publishedDatasets.find(candidate => candidate.name === name)
  if (dataset) return dataset
  const names = publishedDatasets.map(candidate => candidate.name).join(', ')
  throw new RangeError(`data fetch: name must be one of ${names}, got ${name}`)
}

/** Progress of one file after the other, in thousands of bytes. */
function transferLog(json: boolean): {
  show(name: string, received: number, total: number | undefined): void
  close(): void
} {
  let current: { readonly name: string; readonly log: ProgressLog; readonly startedFrom: number } | undefined
  const close = (): void => {
    current?.log.close()
    current = undefined
  }
  return {
    show(name, received, total) {
      if (total === undefined) return
      if (current?.name !== name || received < current.startedFrom) {
        close()
        current = { name, log: progressLog(name, 'kB', { json }), startedFrom: received }
      }
      current.log.update(thousands(received), thousands(total), thousands(current.startedFrom))
    },
    close,
  }
}

function thousands(bytes: number): number {
  return Math.round(bytes / 1000)
}

function resultText(
  { folder, fetched, present }: FetchedDataset,
  { title, licence, homepage, trains }: PublishedDataset,
): string {
  const names = (paths: readonly string[]) => paths.map(path => basename(path)).join(', ')
  const train = shellCommand(['pmoe', 'train', '--dataset', trains, '--data', folder, '--model', 'wrn-pmoe'])
  return [
    ...(present.length > 0 ? [`There already, and whole: ${names(present)}`] : []),
    ...(fetched.length > 0 ? [`Fetched and checked: ${names(fetched)}`] : []),
    `${title} is in ${folder} (licence: ${licence}; ${homepage})`,
    `Train on it: ${train}`,
  ].join('\n')
}

/** The command line that continues the download. */
function resumeCommand(name: string, { out, from, force }: DataFetchRequest): string {
  const flags = [...(from === undefined ? [] : ['--from', from]), ...(force ? ['--force'] : [])]
  return shellCommand(['pmoe', 'data', 'fetch', name, '--out', out, ...flags])
}
