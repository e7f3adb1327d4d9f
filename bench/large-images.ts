/**
 * Trains the peers of the study `megapixel` on the images of its runs, one after the other, and adds what they reach to the
 * `peers.jsonl` of the study, which its report shows. What is there already is left out, so that the same command goes on.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, CommanderError } from 'commander'
import { childOutput } from '../scripts/run/measuring/child-process.js'
import { type Cell, cellText } from '../scripts/study/cell.js'
import { writeTaskFiles } from '../scripts/study/large-images/task-files.js'
import { taskRun } from '../scripts/study/large-images/task-run.js'
import { parsePeerResults } from '../scripts/study/peer-result.js'
import { studyCells } from '../scripts/study/study-config.js'
import { openStudy, type StudyFolder } from '../scripts/study/study-folder.js'
import { positiveInteger } from '../scripts/terminal/option-values.js'
import { useBackend } from '../src/backend/choose.js'
import { peerPython } from './peers.js'

/** What `torch_large_images.py` calls its methods, and what it says that they are. */
const methods = { sampling: 'attention sampling', scored: 'scored by the expert' } as const
type Method = keyof typeof methods

interface Options {
  readonly peers: string
  readonly setting?: string
  readonly samples?: number
  readonly seeds?: number
  readonly threads: number
}

const script = fileURLToPath(new URL('./peers/torch_large_images.py', import.meta.url))

async function trainPeers(directory: string, { peers, setting, samples, seeds, threads }: Options) {
  const python = peerPython(peers)
  const folder = await openStudy(directory)
  const { grid } = folder.config
  if (grid.kind !== 'megapixel') {
    throw new RangeError(`STUDY must be a study megapixel, got ${directory}, of kind ${grid.kind}`)
  }
  // One of the networks that read patches stands for the images of all.
  const patches = grid.variants.find(({ reads }) => reads === 'patches')?.name
  const cells = studyCells(folder.config).filter(
    cell =>
      cell.variant === patches &&
      cell.setting === (setting ?? cell.setting) &&
      cell.samples === (samples ?? cell.samples) &&
      cell.seed <= (seeds ?? cell.seed),
  )
  for (const cell of cells) {
    const known = (await folder.peers()).filter(
      peer => peer.setting === cell.setting && peer.samples === cell.samples && peer.seed === cell.seed,
    )
    const left = (Object.keys(methods) as Method[]).filter(
      method => !known.some(({ variant }) => variant === methods[method]),
    )
    if (left.length > 0) await trainOn(folder, cell, left, [python, script, threads])
  }
}

/** Trains peers on the images of one cell, which are written to a folder of their own for as long. */
async function trainOn(
  folder: StudyFolder,
  cell: Cell,
  left: readonly Method[],
  [python, file, threads]: readonly [python: string, file: string, threads: number],
): Promise<void> {
  const { grid, backend } = folder.config
  if (grid.kind !== 'megapixel') return
  const images = await mkdtemp(join(tmpdir(), 'large-images-'))
  try {
    await writeTaskFiles(await taskRun(grid, cell, await useBackend(backend)), cell, images)
    for (const method of left) {
      const who = cellText({ ...cell, variant: methods[method] })
      const flags = [file, images, method, '--threads', String(threads)]
      const output = await childOutput({ who, program: python, arguments: flags, environment: {} })
      const [result] = parsePeerResults(output, who)
      if (!result) throw new Error(`${who}: peer must print its result, got nothing`)
      await folder.keepPeer(result)
      console.log(`${who}: test ${(100 * result.testAccuracy).toFixed(1)} %`)
    }
  } finally {
    await rm(images, { recursive: true, force: true })
  }
}

try {
  await new Command('large-images')
    .description(
      'Trains attention sampling and selection by the expert, in PyTorch, on the images of a study.',
    )
    .argument('<study>', 'folder of a study megapixel')
    .requiredOption('--peers <folder>', 'a folder made by bench/peers/setup.sh')
    .option('--setting <name>', 'only this task')
    .option('--samples <count>', 'only this number of training images', positiveInteger)
    .option('--seeds <count>', 'only the first seeds', positiveInteger)
    .option('--threads <count>', 'threads of PyTorch', positiveInteger, 1)
    .exitOverride()
    .action(trainPeers)
    .parseAsync()
} catch (error) {
  if (!(error instanceof CommanderError)) console.error(`large-images: ${(error as Error).message}`)
  process.exitCode = error instanceof CommanderError ? (error.exitCode === 0 ? 0 : 2) : 1
}
