/**
 * Draws the contact sheets in docs/contact-sheets: one of each dataset that can be made without a download. Faces are
 * drawn ones, in the files of CelebA.
 *
 * Usage: npx tsx tools/contact-sheets.ts [--out FOLDER]
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { inspectDataset } from '../scripts/run/inspection.js'
import type { DataRequest } from '../scripts/run/run-data.js'
import { writeContactSheet } from '../scripts/run/sheet.js'
import type { DatasetEntry } from '../src/data/datasets/dataset.js'
import { datasets } from '../src/data/datasets/datasets.js'
import { samplesFolder } from '../src/files/data-folder.js'
import { makeFolder } from '../src/files/folders.js'
import { writeFaces } from './drawn-faces/write.js'

const seed = 1
const counts = { samples: 240, testSamples: 40 }

/** Faces enough for every cell of every task. */
const facePlan = {
  count: 900,
  smiling: 0.5,
  eyeglasses: 0.4,
  black: 0.45,
  blond: 0.45,
  validation: 0,
  test: 0.2,
  seed,
}

async function drawSheets(out: string): Promise<void> {
  await makeFolder(out)
  const temporary = await mkdtemp(join(tmpdir(), 'contact-sheets-'))
  try {
    const faces = join(temporary, 'faces')
    await writeFaces({ ...facePlan, out: faces, layout: 'flat' })
    for (const { name, title, source } of datasets) {
      const sheet = sheetOf(name, source, faces)
      if (!sheet) continue
      const {
        halves: [train],
      } = await inspectDataset({ name, ...counts, ...sheet.request }, seed)
      if (!train) continue
      const path = join(out, `${name}.png`)
      await writeContactSheet(path, train, { title: `${title} (${name})${sheet.note}`, fewColors: true })
      console.log(path)
    }
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

/** What a sheet shows of a dataset; undefined where that needs a download. */
function sheetOf(name: string, source: DatasetEntry['source'], faces: string): Sheet | undefined {
  if (name === 'mnist-patches') return otherGrid
  if (source !== 'folder') return { request: { data: null }, note: '' }
  return name.startsWith('celeba-') ? { request: { data: faces }, note: ', drawn faces' } : undefined
}

interface Sheet {
  readonly request: Pick<DataRequest, 'data' | 'gridSide' | 'targets' | 'distractors'>
  /** What the title says besides the dataset's name. */
  readonly note: string
}

/** How mnist-patches is drawn from the small digits: with its own settings it would look like digits-patches. */
const otherGrid: Sheet = {
  request: {
    data: samplesFolder('digits8').describe(''),
    gridSide: 3,
    targets: [3, 8],
    distractors: [0, 1, 2, 4, 5, 6, 7, 9],
  },
  note: ', 3 or 8 among other digits in a 3x3 grid',
}

await new Command('contact-sheets')
  .description('Draws a contact sheet of each dataset that can be made without a download.')
  .option('--out <folder>', 'folder of the pictures', 'docs/contact-sheets')
  .action(({ out }: { out: string }) => drawSheets(out))
  .parseAsync()
