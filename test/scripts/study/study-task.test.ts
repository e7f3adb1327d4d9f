import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import type { CellResult } from '../../../scripts/study/cell-result.js'
import { prepareCell } from '../../../scripts/study/cell-run.js'
import { runCell } from '../../../scripts/study/run-cell.js'
import { studyCells } from '../../../scripts/study/study-config.js'
import { type StudyFolder, startStudy } from '../../../scripts/study/study-folder.js'
import { useBackend } from '../../../src/backend/choose.js'
import { isLockFile } from '../../../src/files/lock.js'
import { configKey } from '../../../src/run/run-config.js'
import { startTypeScript } from '../../child-processes.js'
import { jsonLines } from '../run-pmoe.js'
import { newFolder, smallStudy } from './small-study.js'

const program = fileURLToPath(new URL('./task-process.ts', import.meta.url))
const startTask = (directory: string, task: number, tasks: number) =>
  startTypeScript([program, directory, String(task), String(tasks)])

/** The numbers of a result, without how long it took. */
function numbersOf(result: CellResult | undefined) {
  if (result?.status !== 'done') throw new Error(`a cell must be done, got ${JSON.stringify(result)}`)
  const { seconds: _, converged: __, ...trained } = result.trained ?? {}
  return { cell: result.cell, trained }
}

async function allNumbers(folder: StudyFolder) {
  return [...(await folder.results(studyCells(folder.config))).values()].map(numbersOf)
}

/** The process that has claimed a cell; waits until one has. */
async function claimant(directory: string, cell: number): Promise<number> {
  const folder = join(directory, 'cells', String(cell).padStart(5, '0'))
  for (;;) {
    const claim = (await readdir(folder).catch(() => [])).find(isLockFile)
    if (claim) return Number(claim.split('.')[3])
    await pause(10)
  }
}

test('two tasks share a study; what one leaves that is killed the other takes over, and no cell is run twice', async () => {
  const config = smallStudy({ seeds: 1 })
  const folder = await startStudy(await newFolder(), config)
  const { directory } = folder
  const cells = studyCells(config)
  const tasks = [startTask(directory, 0, 2), startTask(directory, 1, 2)] as const
  const worker = await claimant(directory, 0)
  tasks[0].child.kill('SIGKILL')
  process.kill(worker, 'SIGKILL')
  const [killed, end] = [await tasks[0].finished, await tasks[1].finished]
  expect([end.code, end.err]).toEqual([0, ''])
  const lines = [killed, end].flatMap(({ out }) => (out === '' ? [] : jsonLines(out)))
  expect(lines.filter(({ taken }) => taken !== undefined)).toEqual([
    { taken: 0, from: `process ${worker} (study)` },
  ])
  const ran = lines.flatMap(({ cell }) => (cell === undefined ? [] : [cell as number]))
  expect(ran.sort((a, b) => a - b)).toEqual(cells.map(({ index }) => index))
  expect((await readdir(join(directory, 'cells', '00000'))).filter(isLockFile)).toEqual([])

  const alone = await startStudy(await newFolder(), config)
  const backend = await useBackend('wasm')
  for (const cell of cells) await runCell(alone, cell, backend, new AbortController().signal)
  expect(await allNumbers(folder)).toEqual(await allNumbers(alone))
  await rm(directory, { recursive: true })
})

test('a cell that was stopped goes on from its checkpoint, to the same numbers', async () => {
  const study = smallStudy()
  const config = { ...study, grid: { ...study.grid, flags: { ...study.grid.flags, epochs: 6 } } }
  const backend = await useBackend('wasm')
  const never = new AbortController().signal
  const [folder, alone] = [
    await startStudy(await newFolder(), config),
    await startStudy(await newFolder(), config),
  ]
  const cell = studyCells(config)[3]!
  const whole = await runCell(alone, cell, backend, never)

  const stop = new AbortController()
  const checkpoints = folder.checkpoints(cell.index)
  let stored = 0
  const stopping = {
    ...checkpoints,
    async options(key: string) {
      const options = await checkpoints.options(key)
      const store = options.checkpoints!
      return {
        ...options,
        checkpoints: {
          ...store,
          async write(name: string, bytes: Uint8Array) {
            await store.write(name, bytes)
            if (++stored === 2) stop.abort(new Error('preempted'))
          },
        },
      }
    },
  }
  folder.checkpoints = () => stopping
  await expect(runCell(folder, cell, backend, stop.signal)).rejects.toThrow('preempted')
  folder.checkpoints = () => checkpoints
  const path = join(folder.directory, 'cells', '00003', 'checkpoints')
  expect((await stat(join(path, 'latest.safetensors'))).isFile()).toBe(true)

  // Another configuration or version begins anew.
  const prepared = await prepareCell(config, cell, backend)
  prepared.model.dispose()
  const key = configKey(prepared.config)
  expect((await checkpoints.options(key)).resume?.history).toHaveLength(2)
  expect((await checkpoints.options(`${key} `)).resume).toBeUndefined()
  expect(numbersOf(await runCell(folder, cell, backend, never))).toEqual(numbersOf(whole))
  await expect(stat(path)).rejects.toThrow('ENOENT')
})
