import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { File as HdfFile, ready } from 'h5wasm'
import { describe, expect, test } from 'vitest'
import { readKerasFile } from '../../../src/export/weights/keras-file.js'
import { kerasReading, readKerasInThread } from '../../../src/files/keras/keras-thread.js'

const folder = new URL('../../goldens/keras/', import.meta.url)
const keras = (name: string) => new Uint8Array(gunzipSync(readFileSync(new URL(`${name}.gz`, folder))))

/** The bytes of an HDF5 file that `fill` makes. */
async function made(fill: (file: HdfFile) => void): Promise<Uint8Array> {
  const { FS } = await ready
  const file = new HdfFile('made-here.h5', 'w')
  fill(file)
  file.close()
  const bytes = FS.readFile('made-here.h5') as Uint8Array
  FS.unlink('made-here.h5')
  return bytes
}

describe('a Keras file in a thread', () => {
  test.each(['dense.h5', 'nested.weights.h5'])('%s: the same as without one', async name => {
    const bytes = keras(name)
    expect(await kerasReading(bytes, name)).toEqual(await readKerasFile(bytes, name))
  })

  test('is refused with the same words', async () => {
    const bytes = keras('dense.h5').slice(0, 90_000)
    const message = await readKerasFile(bytes, 'd.h5').catch((error: Error) => error.message)
    expect(message).toMatch(/^d\.h5: file must be an HDF5 file in good order/)
    await expect(kerasReading(bytes, 'd.h5')).rejects.toThrow(new Error(message as string))
  })

  test('is given up after the limit where reading has no end', async () => {
    // Each of 30 groups holds the next one twice: 2^30 paths that are no deeper than is allowed.
    const bytes = await made(file => {
      const groups = Array.from({ length: 30 }, (_, i) => file.create_group(`g${i}`))
      for (const [i, group] of groups.slice(0, -1).entries()) {
        for (const name of ['a', 'b']) group.create_hard_link(`/g${i + 1}`, name)
      }
    })
    await expect(readKerasInThread(bytes, 'loop.h5', undefined, 1000)).rejects.toThrow(
      new Error('loop.h5: file must be read within 1 s, got no end (it is likely damaged)'),
    )
  })
})

test('a tensor that claims more than its file can hold is refused before it is read', async () => {
  const bytes = await made(file => {
    const vars = file.create_group('layers').create_group('dense').create_group('vars')
    const kernel = vars.create_dataset({
      name: '0',
      data: new Float32Array(4),
      shape: [4],
      maxshape: [null],
      chunks: [4],
    })
    kernel.resize([2 ** 40])
  })
  const most = 1032 * bytes.length
  await expect(readKerasFile(bytes, 'c.h5')).rejects.toThrow(
    new Error(
      `c.h5: tensor "layers/dense/vars/0" must be at most ${most} bytes, as the file is ${bytes.length}, got ${2 ** 42} of [${2 ** 40}]`,
    ),
  )
})
