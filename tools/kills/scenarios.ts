import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { exitCodeOf, program } from '../../scripts/program.js'
import { exportFormat, exportFormats, formatNames } from '../../scripts/run/export-formats/export-formats.js'
import { openAskedStudy } from '../../scripts/study/asked-study.js'
import { studyCells } from '../../scripts/study/study-config.js'
import { openStudy } from '../../scripts/study/study-folder.js'
import { writeStudyReport } from '../../scripts/study/study-report.js'
import { openPrepared } from '../../src/files/prepared/prepared-set.js'
import { digests, type Scenario } from './campaign.js'

const [writeOut, writeErr] = [process.stdout.write, process.stderr.write]

/** Gives back the streams that a killed command had. */
function speakAgain(): void {
  process.stdout.write = writeOut
  process.stderr.write = writeErr
}

/** Runs the command line within this process. */
async function pmoe(...words: readonly string[]): Promise<void> {
  let said = ''
  const silence = (text: string | Uint8Array) => {
    said += text
    return true
  }
  process.stdout.write = silence as typeof writeOut
  process.stderr.write = silence as typeof writeErr
  try {
    await program().parseAsync([...words], { from: 'user' })
  } catch (error) {
    if (exitCodeOf(error) !== 0) throw error
  } finally {
    speakAgain()
  }
  if (process.exitCode) throw new Error(`exit code ${process.exitCode}: ${said}`)
}

const small = ['--samples', '8', '--test-samples', '4', '--backend', 'wasm']
const train = (root: string, ...more: readonly string[]) =>
  pmoe(
    ...['train', '--dataset', 'digits-patches', '--model', 'two-layer-pmoe', ...small],
    ...['--epochs', '1', '--out', join(root, 'run'), ...more],
  )
const resume = (root: string) => pmoe('train', '--resume', '--out', join(root, 'run'))
const evaluate = (root: string) => pmoe('evaluate', join(root, 'run'), '--backend', 'wasm')

/** A file that is not ours, among those that are. */
async function addForeign(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'notes.txt'), 'mine')
}

async function trained(root: string): Promise<void> {
  await train(root)
  await addForeign(join(root, 'run'))
  await addForeign(join(root, 'run', 'checkpoints'))
}

/** A run is usable when it can be evaluated, or gone on with. */
async function usableRun(root: string): Promise<void> {
  await evaluate(root).catch(error => {
    if (!/--resume/.test((error as Error).message)) throw error
  })
}

const trainings: readonly Scenario[] = [
  { name: 'train', before: async () => undefined, command: root => train(root), again: resume },
  {
    name: 'train --force',
    before: trained,
    command: root => train(root, '--seed', '2', '--force'),
    usable: usableRun,
  },
  {
    name: 'train --resume',
    before: trained,
    command: root => pmoe('train', '--resume', '--out', join(root, 'run'), '--epochs', '2'),
    usable: evaluate,
  },
  {
    name: 'train --init',
    before: async root => {
      await train(root)
      await cp(join(root, 'run'), join(root, 'first'), { recursive: true })
    },
    command: root =>
      pmoe(
        ...['train', '--init', join(root, 'first'), '--dataset', 'digits-patches', ...small],
        ...['--epochs', '1', '--out', join(root, 'run'), '--force'],
      ),
    usable: usableRun,
  },
]

const prepare = (root: string, samples: number, ...more: readonly string[]) =>
  pmoe(
    ...['data', 'prepare', 'digits-patches', '--samples', String(samples), '--test-samples', '4'],
    ...['--shard-records', '4', '--out', join(root, 'prepared'), ...more],
  )
const preparing: readonly Scenario[] = [
  { name: 'data prepare', before: async () => undefined, command: root => prepare(root, 8) },
  {
    name: 'data prepare --force',
    before: async root => {
      await prepare(root, 12)
      await addForeign(join(root, 'prepared'))
      await writeFile(join(root, 'prepared', 'train-00000-of-00099.tfrecord'), 'mine')
    },
    command: root => prepare(root, 8, '--force'),
    usable: async root => {
      const { train: images } = await openPrepared(join(root, 'prepared'))
      if (images.count !== 12 && images.count !== 8) throw new Error(`got ${images.count} images`)
    },
  },
]

function exporting(format: string): readonly Scenario[] {
  const place = (root: string) => join(root, 'exported', 'model')
  const write = (root: string, ...more: readonly string[]) =>
    pmoe(
      ...['export', join(root, 'first'), '--format', format, '--out', place(root)],
      ...['--backend', 'wasm', '--no-verify', ...more],
    )
  const before = async (root: string) => {
    await train(root)
    await cp(join(root, 'run'), join(root, 'first'), { recursive: true })
  }
  return [
    { name: `export --format ${format}`, before, command: root => write(root) },
    {
      name: `export --format ${format} --force`,
      before: async root => {
        await before(root)
        await write(root)
        await addForeign(exportFormat(format).folder ? place(root) : join(root, 'exported'))
      },
      command: root => write(root, '--force', '--class-names', 'a,b'),
      usable: root => wholeExport(join(root, 'exported')),
    },
  ]
}

/** Every file of an export is there, or where the next command takes it from. */
async function wholeExport(folder: string): Promise<void> {
  const files = [...(await digests(folder)).keys()].map(file => file.replace(/\.pmoe-(ready|placing)./, ''))
  const markers = ['model', join('model', 'model.json'), join('model', 'saved_model.pb')]
  if (!markers.some(marker => files.includes(marker))) throw new Error(`got only ${files.join(', ')}`)
}

const cell = (root: string, ...more: readonly string[]) =>
  pmoe(
    ...['study', 'run', 'fig8', '--scale', 'small', '--cell', '0', '--backend', 'wasm'],
    ...['--out', join(root, 'study'), ...more],
  )
/** What `pmoe study` does but for its processes, which write what `study run` writes. */
async function study(root: string, { force = false }: { readonly force?: boolean }): Promise<void> {
  const asked = { scale: 'small', backend: 'wasm', out: join(root, 'study'), force } as const
  const { folder, lock } = await openAskedStudy('fig8', asked)
  try {
    for (const each of studyCells(folder.config).slice(0, 2)) {
      const failed = {
        status: 'failed',
        cell: each,
        reason: 'error',
        message: 'none',
        took: 1,
        ended: '',
      } as const
      if (!(await folder.result(each.index))) await folder.keepResult(failed)
    }
    await writeStudyReport(folder, folder.directory)
  } finally {
    await lock.release()
  }
}

const studying: readonly Scenario[] = [
  { name: 'study run', before: async () => undefined, command: root => cell(root) },
  { name: 'study', before: async () => undefined, command: root => study(root, {}) },
  {
    name: 'study --force',
    before: async root => {
      await study(root, {})
      await addForeign(join(root, 'study'))
      await addForeign(join(root, 'study', 'cells', '00001'))
    },
    command: root => study(root, { force: true }),
    usable: async root => void (await openStudy(join(root, 'study'))),
  },
]

/** Every command that writes into a place of the user's. */
export const scenarios: readonly Scenario[] = [
  ...trainings,
  ...preparing,
  ...formatNames(exportFormats).flatMap(exporting),
  ...studying,
]
