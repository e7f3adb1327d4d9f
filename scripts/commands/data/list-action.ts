import { shellCommand } from '../../../src/cluster/shell-command.js'
import type { DatasetEntry } from '../../../src/data/datasets/dataset.js'
import { datasets } from '../../../src/data/datasets/datasets.js'
import { type RecognisedFormat, recognise } from '../../../src/data/datasets/recognise.js'
import { unreadFiles } from '../../../src/data/datasets/unread-files.js'
import { dataFolder } from '../../../src/files/data-folder.js'
import { isPrepared, readManifest } from '../../../src/files/prepared/prepared-set.js'
import { suggestedMixture } from '../../../src/models/recipes.js'
import { usablePlace } from '../../terminal/data-path.js'

/** The flags of `pmoe data list`. */
export interface DataListRequest {
  readonly data?: string
  readonly json?: boolean
}

/** One dataset of the list. */
interface ListedDataset {
  readonly name: string
  readonly title: string
  readonly description: string
  readonly licence: string
  readonly homepage: string
  /** Where its images are: `in the package`; null where none were found. */
  readonly found: string | null
  /** The command that gets it, where there is one. */
  readonly fetch: string | null
  /** The command that trains on it. */
  readonly train: string
}

/** Writes the table of datasets, and which of them are in a folder. */
export async function runDataList({ data, json }: DataListRequest): Promise<void> {
  const formats = data === undefined ? [] : await formatsIn(data)
  const listed = datasets.map(entry => listedDataset(entry, data, formats))
  if (json) {
    process.stdout.write(`${JSON.stringify(listed)}\n`)
    return
  }
  const head = data === undefined ? [] : [await formatsText(data, formats)]
  process.stdout.write(`${[...head, ...listed.map(datasetText)].join('\n\n')}\n`)
}

async function formatsIn(folder: string): Promise<RecognisedFormat[]> {
  usablePlace(folder)
  if (await isPrepared(folder)) {
    const { dataset, train, validation, test } = await readManifest(folder)
    const isListed = datasets.some(({ name }) => name === dataset)
    const others = validation ? `, ${validation.count} validation` : ''
    const title = `${train.count} training${others} and ${test.count} test images prepared of ${dataset}`
    return [{ title, datasets: isListed ? [dataset] : [] }]
  }
  return recognise(dataFolder(folder))
}

async function formatsText(folder: string, formats: readonly RecognisedFormat[]): Promise<string> {
  if (formats.length === 0) {
    const unread = await unreadFiles(dataFolder(folder))
    return `${folder}: nothing that is known${unread && ` (${unread})`}`
  }
  const lines = formats.map(({ title, datasets }) => `  ${title}: ${datasets.join(', ')}`)
  return `${folder}:\n${lines.join('\n')}`
}

function listedDataset(
  entry: DatasetEntry,
  data: string | undefined,
  formats: readonly RecognisedFormat[],
): ListedDataset {
  const { name, title, description, licence, homepage, source } = entry
  const inFolder = formats.find(({ datasets }) => datasets.includes(name))
  const published = entry.format?.published
  const folder = inFolder && data !== undefined ? data : source === 'folder' ? 'DIR' : undefined
  return {
    name,
    title,
    description,
    licence,
    homepage,
    found: inFolder && data !== undefined ? `${inFolder.title}, in ${data}` : locations[source],
    fetch: published ? shellCommand(['pmoe', 'data', 'fetch', published, '--out', 'DIR']) : null,
    train: trainCommandOf(entry, folder),
  }
}

const locations: Readonly<Record<DatasetEntry['source'], string | null>> = {
  samples: 'in the package',
  generated: 'drawn when it is asked for',
  folder: null,
}

/** The command that trains the mixture on a dataset. */
function trainCommandOf(entry: DatasetEntry, folder: string | undefined): string {
  const needsBackgrounds = entry.settings?.includes('backgrounds') && entry.sampleBackgrounds === undefined
  return shellCommand([
    ...['pmoe', 'train', '--dataset', entry.name],
    ...(folder === undefined ? [] : ['--data', folder]),
    ...(needsBackgrounds ? ['--backgrounds', 'IMAGES'] : []),
    ...['--model', suggestedMixture(entry)],
  ])
}

function datasetText({
  name,
  title,
  description,
  licence,
  homepage,
  found,
  fetch,
  train,
}: ListedDataset): string {
  return [
    `${name}  (${title})`,
    `  ${description}`,
    `  licence  ${licence}`,
    `  found    ${found ?? 'not yet'}`,
    `  get      ${[...(fetch ? [fetch] : []), homepage].join('  or  ')}`,
    `  train    ${train}`,
  ].join('\n')
}
