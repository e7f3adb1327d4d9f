import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openRegions } from '../../../src/files/regions/open-regions.js'
import { regionsInThread } from '../../../src/files/regions/reading-thread.js'
import { patternImage } from './pattern-image.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'read-in-a-thread-'))
  await patternImage([61, 48, 3]).png().toFile(join(folder, 'a.png'))
  await patternImage([40, 52, 3]).jpeg().toFile(join(folder, 'b.jpg'))
  await writeFile(join(folder, 'text.png'), 'no image')
})
afterAll(async () => {
  await rm(folder, { recursive: true })
})

const boxes = Int32Array.of(-4, 3, 16, 12, 20, 40, 16, 12)

describe('regionsInThread', () => {
  it('reads what is read without a thread, several images at a time, also after closing', async () => {
    const open = regionsInThread(folder)
    await Promise.all(
      ['a.png', 'b.jpg', 'a.png'].map(async name => {
        const [own, inThread] = await Promise.all([openRegions(join(folder, name)), open(name)])
        const { height, width, channels } = own
        expect(inThread).toMatchObject({ height, width, channels })
        for (const scale of [1, 4]) expect(await inThread.view(scale)).toEqual(await own.view(scale))
        expect(await inThread.regions(boxes)).toEqual(await own.regions(boxes))
        await inThread.close?.()
        await inThread.close?.()
        expect(await inThread.regions(boxes)).toEqual(await own.regions(boxes))
        await Promise.all([inThread.close?.(), own.close?.()])
      }),
    )
  })

  it('decodes as it is told', async () => {
    const grey = await regionsInThread(folder, { channels: 1 })('a.png')
    expect(grey.channels).toBe(1)
    expect(await grey.view(61)).toHaveLength(1)
    await expect(regionsInThread(folder, { channels: 2 as 1 })('a.png')).rejects.toThrow(
      /channels must be 1 or 3, got 2/,
    )
  })

  it('refuses an address, and says what can be read from there', () => {
    expect(() => regionsInThread('s3://bucket/photos')).toThrow(
      's3://bucket/photos: image files that are read in parts must be in a folder on this machine, got an address (pmoe',
    )
  })

  it('fails as reading without a thread does, and reads on', async () => {
    const open = regionsInThread(folder)
    for (const name of ['text.png', 'none.png']) {
      const [own, inThread] = await Promise.allSettled([openRegions(join(folder, name)), open(name)])
      expect(inThread.status).toBe('rejected')
      const [expected, error] = [own, inThread].map(each => (each as PromiseRejectedResult).reason as Error)
      expect(error).toMatchObject({ name: expected?.name, message: expected?.message })
    }
    const source = await open('a.png')
    await expect(source.view(0)).rejects.toThrow(RangeError)
    await expect(source.regions(Int32Array.of(0, 0, 0, 4))).rejects.toThrow(
      /boxes must be at least 1x1, got 0x4/,
    )
    expect(await source.view(61)).toHaveLength(3)
  })

  it('says so when a file changes between its view and its regions', async () => {
    const path = join(folder, 'changing.png')
    await patternImage([32, 32, 3]).png().toFile(path)
    const source = await regionsInThread(folder)('changing.png')
    await source.view(4)
    await writeFile(path, 'something else')
    await expect(source.regions(Int32Array.of(0, 0, 8, 8))).rejects.toThrow(/file must stay as it was opened/)
  })
})
