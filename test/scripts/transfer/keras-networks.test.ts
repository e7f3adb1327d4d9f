import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import * as tf from '@tensorflow/tfjs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openModel } from '../../../scripts/run/opened-model.js'
import { disposeModel } from '../../../src/models/dispose-model.js'
import { expectAllClose } from '../../all-close.js'
import { useTestBackend } from '../../backend-under-test.js'
import { callPmoe } from '../run-pmoe.js'

const goldens = new URL('../../goldens/keras/', import.meta.url)
let root = ''
beforeAll(async () => {
  await useTestBackend()
  root = await mkdtemp(join(tmpdir(), 'pmoe-keras-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

async function unpacked(name: string): Promise<string> {
  const path = join(root, name)
  await writeFile(path, gunzipSync(await readFile(new URL(`${name}.gz`, goldens))))
  return path
}

test.each(['nested.keras', 'nested.h5'])(
  '%s is opened as a network, without a name of any class',
  async name => {
    const path = await unpacked(name)
    const { model, directory, classNames } = await openModel(path)
    expect([directory, classNames]).toEqual([path, undefined])
    const { images, answers } = JSON.parse(await readFile(new URL('nested.json', goldens), 'utf8'))
    const y = tf.tidy(() => model.predict(tf.tensor4d(images, [2, 4, 4, 2])) as tf.Tensor)
    expectAllClose(y.dataSync(), answers, 1e-5, 0)
    y.dispose()
    disposeModel(model)
  },
)

test('what is no network is named, with what to do', async () => {
  const init = async (path: string) => {
    const { code, err } = await callPmoe([
      ...['train', '--init', path, '--dataset', 'fashion-quadrants', '--backend', 'wasm'],
      ...['--out', join(root, 'run')],
    ])
    return [code, err]
  }
  const refused = (text: string) => [1, expect.stringContaining(text)]
  const weights = await unpacked('authors.weights.h5')
  expect(await init(weights)).toEqual(
    refused(
      `${weights}: must be the folder of a run or of a saved model, got a file of weights (pmoe import puts them into a network)`,
    ),
  )
  const page = join(root, 'model.h5')
  await writeFile(page, '<!doctype html><html>')
  expect(await init(page)).toEqual(refused('got a web page (HTML): download the file itself again'))
  const renamed = join(root, 'mobilenet.json')
  await writeFile(renamed, '{"modelTopology": {}, "weightsManifest": []}')
  expect(await init(renamed)).toEqual(refused('got a saved tfjs model: call it model.json'))
  const damaged = join(root, 'damaged.keras')
  await writeFile(damaged, (await readFile(await unpacked('nested.keras'))).subarray(0, 900))
  expect(await init(damaged)).toEqual(refused('damaged.keras: '))
  expect(await init(join(root, 'none.keras'))).toEqual(
    refused('none.keras: must be the folder of a run or of a saved model, got neither'),
  )
})
