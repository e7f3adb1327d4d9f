import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openCeleba } from '../../src/data/datasets/celeba/celeba.js'
import { celebaMulticlass } from '../../src/data/datasets/celeba/multiclass.js'
import { dataFolder } from '../../src/files/data-folder.js'
import { decodeImage } from '../../src/files/images/image-files.js'
import { drawFace } from '../../tools/drawn-faces/face.js'
import { type FacePlan, planFaces } from '../../tools/drawn-faces/plan.js'
import { attributeNames } from '../../tools/drawn-faces/tables.js'
import { layoutNames, writeFaces } from '../../tools/drawn-faces/write.js'
import { writeZip } from '../../tools/drawn-faces/zip-writer.js'

const plan: FacePlan = {
  count: 24,
  smiling: 0.5,
  eyeglasses: 0.5,
  black: 0.5,
  blond: 0.5,
  validation: 0.1,
  test: 0.25,
  seed: 3,
}

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'pmoe-faces-'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

describe('planFaces', () => {
  it('has the asked shares exactly, for every number of faces', () => {
    const share = fc.integer({ min: 0, max: 50 }).map(percent => percent / 100)
    const property = fc.property(
      fc.record({
        count: fc.integer({ min: 1, max: 400 }),
        smiling: share,
        eyeglasses: share,
        black: share,
        blond: share,
        validation: share,
        test: share,
        seed: fc.nat(),
      }),
      asked => {
        const faces = planFaces(asked)
        const count = (has: (face: (typeof faces)[number]) => boolean) => faces.filter(has).length
        const found = {
          smiling: count(face => face.smiling),
          eyeglasses: count(face => face.eyeglasses),
          black: count(face => face.hair === 'black'),
          blond: count(face => face.hair === 'blond'),
          validation: count(face => face.part === 1),
          test: count(face => face.part === 2),
        }
        expect(faces.length).toBe(asked.count)
        for (const [name, number] of Object.entries(found)) {
          const wanted = asked[name as keyof typeof found] * asked.count
          expect(Math.abs(number - wanted), name).toBeLessThanOrEqual(1)
        }
      },
    )
    fc.assert(property, { numRuns: 50 })
  })

  it('refuses what cannot be', () => {
    expect(() => planFaces({ ...plan, count: 0 })).toThrow(
      new RangeError('planFaces: count must be an integer in [1, 999999], got 0'),
    )
    expect(() => planFaces({ ...plan, eyeglasses: 1.5 })).toThrow(
      new RangeError('planFaces: eyeglasses must be a share in [0, 1], got 1.5'),
    )
    expect(() => planFaces({ ...plan, black: 0.75 })).toThrow(
      new RangeError('planFaces: black and blond must be at most 1 together, got 1.25'),
    )
  })
})

describe('drawFace', () => {
  it('draws the same face from the same seed, and no other', () => {
    const traits = { smiling: true, eyeglasses: false, hair: 'blond' } as const
    const svgs = Array.from({ length: 20 }, (_, seed) => drawFace(traits, seed).svg)
    expect(drawFace(traits, 7).svg).toBe(svgs[7])
    expect(new Set(svgs).size).toBe(20)
  })
})

describe('writeFaces', () => {
  const digest = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')

  it.each(layoutNames)('writes the layout %s as the loader of CelebA reads it', async layout => {
    const out = join(dir, layout)
    let told = 0
    await writeFaces({ ...plan, out, layout, onImage: written => (told = written) })
    expect(told).toBe(24)
    const planned = planFaces(plan)
    const faces = await openCeleba(dataFolder(out), ['Smiling', 'Eyeglasses', 'Black_Hair', 'Blond_Hair'])
    expect([...faces.parts]).toEqual(planned.map(({ part }) => part))
    expect([...faces.attributes.Smiling]).toEqual(planned.map(({ smiling }) => (smiling ? 1 : -1)))
    expect([...faces.attributes.Eyeglasses]).toEqual(planned.map(({ eyeglasses }) => (eyeglasses ? 1 : -1)))
    expect([...faces.attributes.Black_Hair]).toEqual(planned.map(({ hair }) => (hair === 'black' ? 1 : -1)))
    expect([...faces.attributes.Blond_Hair]).toEqual(planned.map(({ hair }) => (hair === 'blond' ? 1 : -1)))
    const pixels = await decodeImage(await faces.encoded(9), { shape: [218, 178, 3] }, 'face')
    expect(new Set(pixels).size).toBeGreaterThan(30)
    expect(readdirSync(dir).filter(name => name.includes('partial'))).toEqual([])
    const { train } = await celebaMulticlass.load(dataFolder(out), { seed: 1, decode: decodeImage })
    expect(train.shape).toEqual([64, 64, 3])
  })

  it('writes the same bytes from the same seed', async () => {
    const again = join(dir, 'again')
    await writeFaces({ ...plan, out: again, layout: 'zip' })
    for (const file of ['img_align_celeba.zip', 'list_attr_celeba.txt']) {
      expect(digest(join(again, file))).toBe(digest(join(dir, 'zip', file)))
    }
  })

  it('names the attributes as CelebA does', () => {
    const table = new URL('../../samples/drawn-faces-celeba/list_attr_celeba.txt', import.meta.url)
    expect(attributeNames.join(' ')).toBe(readFileSync(table, 'utf8').split('\n')[1]?.trim())
  })

  it('leaves nothing behind when it is stopped, and nothing is overwritten', async () => {
    const out = join(dir, 'stopped')
    const controller = new AbortController()
    const stopped = writeFaces({
      ...plan,
      out,
      layout: 'zip',
      signal: controller.signal,
      onImage: () => controller.abort(),
    })
    await expect(stopped).rejects.toThrow('aborted')
    expect(readdirSync(dir).filter(name => name.includes('stopped'))).toEqual([])
    mkdirSync(out)
    writeFileSync(join(out, 'mine'), '')
    await expect(writeFaces({ ...plan, out, layout: 'flat' })).rejects.toThrow(
      new Error(`${out}: folder must be empty or not there, got 1 files or folders in it`),
    )
    expect(existsSync(join(out, 'mine'))).toBe(true)
    const file = join(out, 'mine')
    await expect(writeFaces({ ...plan, out: file, layout: 'flat' })).rejects.toThrow(
      `${file}: folder must be readable, got ENOTDIR`,
    )
    const long = join(dir, 'x'.repeat(250))
    await expect(writeFaces({ ...plan, out: long, layout: 'flat' })).rejects.toThrow(
      `${long}: folder must be writable, got ENAMETOOLONG`,
    )
  })
})

describe('writeZip', () => {
  it('refuses more files than an archive of its kind can have', async () => {
    const zip = await writeZip(join(dir, 'many.zip'), 3)
    const nothing = new Uint8Array(0)
    for (const name of ['a', 'b', 'c']) await zip.add(name, nothing)
    await expect(zip.add('more', nothing)).rejects.toThrow(
      new RangeError('writeZip: archive must have at most 3 files and 4294967294 bytes, got 4 and 127'),
    )
    await zip.abandon()
  })
})

describe('the program', () => {
  const run = (...args: string[]) => {
    const script = fileURLToPath(new URL('../../tools/drawn-faces.ts', import.meta.url))
    return spawnSync(process.execPath, ['--import', 'tsx', script, ...args], { encoding: 'utf8' })
  }

  it('draws, and says what it did', () => {
    const out = join(dir, 'program')
    const { status, stdout, stderr } = run('--out', out, '--count', '5', '--layout', 'csv')
    expect([status, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^5 faces in .+ \(\d+\.\d s, \d+ images\/s\)\n$/)
    expect(readdirSync(join(out, 'img_align_celeba', 'img_align_celeba')).length).toBe(5)
  })

  it('ends with 2 and a message where the call cannot work', () => {
    const wrong = run('--out', join(dir, 'none'), '--black', '0.7', '--blond', '0.7')
    expect([wrong.status, wrong.stderr]).toEqual([
      2,
      'drawn-faces: planFaces: black and blond must be at most 1 together, got 1.4\n',
    ])
    const many = run('--out', join(dir, 'none'), '--layout', 'zip', '--count', '70000')
    expect([many.status, many.stderr]).toEqual([
      2,
      'drawn-faces: --layout zip must have at most 65534 faces, got 70000\n',
    ])
    expect(run('--out', join(dir, 'none'), '--smiling', 'often').stderr).toContain(
      "option '--smiling <share>' argument 'often' is invalid. It must be a number in [0, 1].",
    )
    expect(existsSync(join(dir, 'none'))).toBe(false)
  })
})
