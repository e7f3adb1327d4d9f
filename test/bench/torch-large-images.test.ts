import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { childOutput } from '../../scripts/run/measuring/child-process.js'

const peers = fileURLToPath(new URL('../../.peers', import.meta.url))
const python = join(process.env.PMOE_PEERS ?? peers, 'bin', 'python')
const program = fileURLToPath(new URL('../../bench/peers/torch_large_images.py', import.meta.url))
const hasPeers = existsSync(python)
if (!hasPeers) {
  console.log(
    `${python} is not there (bash bench/peers/setup.sh .peers makes it; PMOE_PEERS names another folder): the peers in PyTorch are not run.`,
  )
}

const side = 32
const thing = 8

/** Images of one thing, whose brightness is its class, within one of four cells. */
async function writeImages(folder: string, half: string, count: number): Promise<void> {
  const images = new Uint8Array(count * side * side)
  const objects: number[] = []
  for (let image = 0; image < count; image++) {
    const [top, left] = [16 * (image & 1) + 4, 16 * ((image >> 1) & 1) + 4]
    objects.push(top, left, thing, thing, 1)
    for (let row = top; row < top + thing; row++) {
      const first = (image * side + row) * side + left
      images.fill((image >> 2) & 1 ? 255 : 80, first, first + thing)
    }
  }
  const labels = Int32Array.from({ length: count }, (_, image) => (image >> 2) & 1)
  await writeFile(join(folder, `${half}.images`), images)
  await writeFile(join(folder, `${half}.labels`), labels)
  await writeFile(join(folder, `${half}.objects`), Int32Array.from(objects))
}

describe.skipIf(!hasPeers)('the peers of large images in PyTorch', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'peers-'))
    for (const half of ['train', 'test']) await writeImages(folder, half, 32)
    const shapes = { shape: [32, side, side, 1], things: 1 }
    const run = {
      ...{ setting: 'brightness', samples: 32, seed: 1, epochs: 12, batchSize: 8, learningRate: 0.01 },
      ...{ classes: 2, cell: 16, margin: 4, viewScale: 4, maxShift: 0, patches: 4 },
      ...{ train: shapes, test: shapes },
    }
    await writeFile(join(folder, 'run.json'), JSON.stringify(run))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  // Patches of 24x24: the expert's maps have sides 12, 6 and 3.
  const expert = 9 * (12 ** 2 * 12 + 6 ** 2 * 12 * 24 + 3 ** 2 * 24 * 48)
  const weights = 9 * 12 + 12 + 9 * 12 * 24 + 24 + 9 * 24 * 48 + 48 + 48 * 2 + 2

  test.each([
    ['sampling', 'attention sampling', 9 * 8 + 8 + 9 * 8 * 8 + 8 + 9 * 8 + 1, 8 * 8 * 9 * 80 + 4 * expert],
    ['scored', 'scored by the expert', 48 * 16 + 16 + 16 + 1, 8 * (expert + 48 * 16 + 16)],
  ])(
    '%s trains on the files of a study, and counts what it computes',
    async (method, variant, own, products) => {
      const output = await childOutput({
        ...{ who: method, program: python, environment: {} },
        arguments: [program, folder, method],
      })
      const result = JSON.parse(output) as Record<string, number> & { readonly recalls: readonly number[] }
      expect(result).toMatchObject({
        variant,
        ...{ setting: 'brightness', samples: 32, seed: 1, epochs: 12, steps: 48 },
        parameters: weights + own,
        multiplyAdds: products + 48 * 2,
      })
      expect(result.recalls).toHaveLength(12)
      expect(result.trainLoss).toBeLessThan(Math.log(2))
      // Of four cells four are kept: every thing lies in a patch.
      if (method === 'scored') expect([result.recall, ...result.recalls]).toEqual(Array(13).fill(1))
      else for (const recall of result.recalls) expect(recall >= 0 && recall <= 1).toBe(true)
    },
  )
})
