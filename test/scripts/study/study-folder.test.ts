import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { studyCells } from '../../../scripts/study/study-config.js'
import { openStudy, startStudy, studyIn } from '../../../scripts/study/study-folder.js'
import { UsageError } from '../../../scripts/terminal/usage-error.js'
import { doneResult, newFolder, smallStudy } from './small-study.js'

const cell = { seed: 1, variant: 'CNN', samples: 20 }

describe('a study folder', () => {
  it('keeps results by cell, in folders that sort', async () => {
    const directory = await newFolder()
    const folder = await startStudy(directory, smallStudy())
    expect(await folder.result(7)).toBeUndefined()
    const result = doneResult(7, cell, 0.75)
    await folder.keepResult(result)
    await folder.keepPictures(7, [{ uri: 'data:image/png;base64,' }])
    expect(await readdir(join(directory, 'cells/00007'))).toEqual(['pictures.json', 'result.json'])
    const opened = await openStudy(directory)
    expect(await opened.results(studyCells(opened.config))).toEqual(new Map([[7, result]]))
    expect(await opened.pictures(7)).toEqual([{ uri: 'data:image/png;base64,' }])
    expect(await opened.pictures(6)).toBeUndefined()
  })

  it('keeps what other programs reached, one line a run', async () => {
    const folder = await startStudy(await newFolder(), smallStudy())
    expect(await folder.peers()).toEqual([])
    const peer = (seed: number, testAccuracy: number) => ({
      ...{ variant: 'sampling', program: 'PyTorch', setting: 'task', samples: 10, seed, testAccuracy },
      ...{ trainAccuracy: 1, trainLoss: 0, recall: 0.5, recalls: [0.5], epochs: 1, steps: 1 },
      ...{ seconds: 1, parameters: 5, multiplyAdds: 7 },
    })
    for (const result of [peer(1, 0.1), peer(2, 0.2), peer(1, 0.3)]) await folder.keepPeer(result)
    expect(await folder.peers()).toEqual([peer(1, 0.3), peer(2, 0.2)])
  })

  it('goes on, with more seeds where they are asked for and the versions that it began with', async () => {
    const directory = await newFolder()
    await startStudy(directory, smallStudy())
    const versions = { ...smallStudy().versions, patchMoe: '9.9.9' }
    const folder = await startStudy(directory, smallStudy({ seeds: 3, versions }))
    expect([folder.config.seeds, folder.config.versions.patchMoe]).toEqual([3, '0.0.0'])
    expect((await studyIn(directory))?.seeds).toBe(3)
  })

  it('refuses changed settings by name, and replaces a study by force', async () => {
    const directory = await newFolder()
    const first = await startStudy(directory, smallStudy())
    await first.keepResult(doneResult(0, cell, 0.5))
    await writeFile(join(directory, 'notes.txt'), 'mine')
    const changed = smallStudy({ backend: 'tensorflow', seeds: 1 })
    await expect(startStudy(directory, changed)).rejects.toThrow(
      new UsageError(
        `study: --out must keep the settings of ${directory}, got changed ones: seeds is 2, asked for 1; ` +
          'backend is "wasm", asked for "tensorflow" (another --out begins anew, --force replaces it)',
      ),
    )
    const folder = await startStudy(directory, changed, { force: true })
    expect(await folder.result(0)).toBeUndefined()
    expect(await readFile(join(directory, 'notes.txt'), 'utf8')).toBe('mine')
  })

  it('refuses a folder of something else', async () => {
    const directory = await newFolder()
    await writeFile(join(directory, 'holiday.jpg'), '')
    await expect(startStudy(directory, smallStudy())).rejects.toThrow(
      `study: --out must be new, empty or a study, got ${directory} with holiday.jpg`,
    )
    await expect(startStudy(join(directory, 'holiday.jpg'), smallStudy())).rejects.toThrow(
      /holiday\.jpg must be a folder, got ENOTDIR/,
    )
    await expect(openStudy(directory)).rejects.toThrow(
      `${directory}: must be the folder of a study, got none (no study.json in it)`,
    )
  })

  it('names the file of a damaged result', async () => {
    const directory = await newFolder()
    const folder = await startStudy(directory, smallStudy())
    const path = join(directory, 'cells/00000/result.json')
    await mkdir(join(directory, 'cells/00000'), { recursive: true })
    await writeFile(path, '{"status"')
    await expect(folder.result(0)).rejects.toThrow(`${path}: must be JSON, got 9 characters that are not`)
    await writeFile(path, '{"status":"done","took":1,"ended":""}')
    await expect(folder.result(0)).rejects.toThrow(`${path}: must be the result of a cell, got cell: `)
  })
})
