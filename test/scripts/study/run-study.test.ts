import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { CellResult } from '../../../scripts/study/cell-result.js'
import { runStudy } from '../../../scripts/study/run-study.js'
import { studyCells } from '../../../scripts/study/study-config.js'
import { startStudy } from '../../../scripts/study/study-folder.js'
import { doneResult, newFolder, smallStudy } from './small-study.js'

const workerFile = fileURLToPath(new URL('./crashing-worker.ts', import.meta.url))

describe('runStudy', () => {
  it('records a crashed cell, goes on in another process, and stops when told to', async () => {
    const folder = await startStudy(await newFolder(), smallStudy())
    const cells = studyCells(folder.config).slice(0, 5)
    const stop = new AbortController()
    const told: CellResult[] = []
    const running = runStudy(folder, {
      cells,
      jobs: 1,
      cores: 2,
      signal: stop.signal,
      workerFile,
      onResult: result => {
        told.push(result)
        // Cell 3 never ends.
        if (result.cell.index === 2) setTimeout(() => stop.abort(), 50)
      },
    })
    await running
    expect(told.map(({ cell, status }) => [cell.index, status])).toEqual([
      [0, 'failed'],
      [1, 'failed'],
      [2, 'failed'],
    ])
    expect(told[0]).toMatchObject({ message: 'told by 2 threads' })
    const crashed = await folder.result(1)
    expect(crashed).toMatchObject({
      reason: 'crashed',
      message: 'the process ended with signal SIGKILL: out of memory',
    })
    expect(await folder.result(3)).toBeUndefined()
  })

  it('leaves out cells that have a result, and runs failed ones again where asked to', async () => {
    const folder = await startStudy(await newFolder(), smallStudy())
    const cells = studyCells(folder.config)
    const [first, , third] = cells
    await folder.keepResult(doneResult(0, first!, 0.5))
    await folder.keepResult({
      status: 'failed',
      cell: third!,
      reason: 'error',
      message: 'disk full',
      took: 1,
      ended: '',
    })
    const run = async (retryFailed: boolean) => {
      const told: number[] = []
      await runStudy(folder, {
        cells: [first!, third!],
        jobs: 2,
        cores: 2,
        retryFailed,
        signal: new AbortController().signal,
        workerFile,
        onResult: result => told.push(result.cell.index),
      })
      return told
    }
    expect(await run(false)).toEqual([])
    expect(await run(true)).toEqual([2])
  })

  it('fails where processes cannot work at all', async () => {
    const folder = await startStudy(await newFolder(), smallStudy({ experiment: 'fig5' }))
    const cells = studyCells(folder.config)
    const signal = new AbortController().signal
    await expect(runStudy(folder, { cells, jobs: 2, cores: 2, signal, workerFile })).rejects.toThrow(
      'no backend here',
    )
    expect((await folder.results(cells)).size).toBe(0)
  })
})
