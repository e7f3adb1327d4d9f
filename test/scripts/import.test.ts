import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import * as tf from '@tensorflow/tfjs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type StoredTensor, writeSafetensors } from '../../src/data/formats/safetensors.js'
import { modelWeights } from '../../src/export/weights/weights.js'
import { fileSystem } from '../../src/files/model-files.js'
import '../../src/layers/moe/patch-gate.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { trained } from '../export/exported-models.js'
import { zipBytes } from '../files/zip-bytes.js'
import { callPmoe, jsonLines, runPmoe } from './run-pmoe.js'

let root: string
let file: string
const goldens = new URL('../goldens/keras/', import.meta.url)

beforeAll(async () => {
  await useTestBackend()
  root = await mkdtemp(join(tmpdir(), 'pmoe-import-'))
  file = join(root, 'authors.weights.h5')
  await writeFile(file, gunzipSync(await readFile(new URL('authors.weights.h5.gz', goldens))))
})
afterAll(() => rm(root, { recursive: true }))

const wasm = ['--backend', 'wasm']
const network = [
  ...['--model', 'wrn-pmoe', '--image-size', '16', '--classes', '3', '--widen', '1', '--experts', '4'],
  ...['--patches-per-expert', '3', '--patch-size', '1'],
]

function line(): tf.LayersModel {
  const layers = [tf.layers.dense({ units: 2, inputShape: [3], name: 'own' })]
  return trained(tf.sequential({ layers }), 5)
}

describe('pmoe import', () => {
  test('makes of published weights a model that answers as Keras does', async () => {
    const out = join(root, 'published')
    const { code, out: text, err } = await runPmoe(['import', file, ...network, '--out', out, ...wasm])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(text).toMatch(
      /^Put 27 layers of authors\.weights\.h5 into wide_resnet_10_1_pmoe, 44,627 parameters; saved in /,
    )
    const answers = JSON.parse(await readFile(new URL('answers.json', goldens), 'utf8'))
    const model = await tf.loadLayersModel(fileSystem(out))
    const y = tf.tidy(() => model.predict(tf.tensor4d(answers.images, [4, 16, 16, 3]).div(255)) as tf.Tensor)
    expectAllClose(y.dataSync(), answers['authors.weights.h5'], 0, 2e-6)
  })

  test('finds the weights inside a .keras archive', async () => {
    const archive = join(root, 'whole.keras')
    await writeFile(archive, zipBytes([{ name: 'model.weights.h5', data: await readFile(file) }]))
    const out = join(root, 'whole')
    const { code, out: text } = await callPmoe(['import', archive, ...network, '--out', out, ...wasm])
    expect(code).toBe(0)
    expect(text).toContain('Put 27 layers of whole.keras into ')
  })

  test('puts safetensors into a saved model, by its own names or by those of a map', async () => {
    const into = join(root, 'into')
    const model = line()
    await model.save(fileSystem(into))
    const tensors = await modelWeights(model)
    const own = join(root, 'own.safetensors')
    await writeFile(own, writeSafetensors(tensors))
    const first = join(root, 'first')
    const json = await callPmoe(['import', own, '--into', into, '--out', first, '--json', ...wasm])
    expect(json.code).toBe(0)
    expect(jsonLines(json.out)).toEqual([
      { file: own, model: model.name, parameters: 8, out: first, backend: 'wasm' },
    ])
    const kernel = Float32Array.of(1, 2, 3, 4, 5, 6)
    const torch = join(root, 'torch.safetensors')
    await writeFile(
      torch,
      writeSafetensors([
        ['fc.weight', { dtype: 'F32', shape: [2, 3], data: kernel }],
        ['fc.bias', { dtype: 'F32', shape: [2], data: Float32Array.of(10, 20) }],
      ]),
    )
    const unnamed = await callPmoe(['import', torch, '--into', into, '--out', join(root, 'no'), ...wasm])
    expect(unnamed.code).toBe(1)
    expect(unnamed.err).toMatch(
      /with unknown "fc.weight", "fc.bias"; these are names of PyTorch: give --names, /,
    )
    const names = join(root, 'names.json')
    await writeFile(names, '{ "fc": "own" }')
    const second = join(root, 'second')
    const mapped = await callPmoe([
      'import',
      torch,
      '--into',
      into,
      '--names',
      names,
      '--out',
      second,
      ...wasm,
    ])
    expect(mapped.code).toBe(0)
    const loaded = await tf.loadLayersModel(fileSystem(second))
    const y = tf.tidy(() => loaded.predict(tf.tensor2d([[1, 0, 2]])) as tf.Tensor)
    // Rows of PyTorch's weight are outputs: 1 + 2 * 3 + 10, 4 + 2 * 6 + 20.
    expect([...y.dataSync()]).toEqual([17, 36])
  })

  test.each(['nested.keras', 'nested.h5'])('makes the network that %s describes', async name => {
    const whole = join(root, name)
    await writeFile(whole, gunzipSync(await readFile(new URL(`${name}.gz`, goldens))))
    const out = join(root, `of-${name}`)
    const { code, out: text, err } = await callPmoe(['import', whole, '--out', out, ...wasm])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(text).toContain(`Made whole of 8 layers of ${name}, 245 parameters; saved in `)
    const { images, answers } = JSON.parse(await readFile(new URL('nested.json', goldens), 'utf8'))
    const model = await tf.loadLayersModel(fileSystem(out))
    const y = tf.tidy(() => model.predict(tf.tensor4d(images, [2, 4, 4, 2])) as tf.Tensor)
    expectAllClose(y.dataSync(), answers, 1e-5, 0)
  })

  test('reads a checkpoint in several files, by its list or by one of them', async () => {
    const into = join(root, 'into-shards')
    const model = line()
    await model.save(fileSystem(into))
    const [kernel, bias] = [...(await modelWeights(model))]
    const shards = [kernel, bias].map((entry, i) => ({
      file: `model-0000${i + 1}-of-00002.safetensors`,
      entries: [[`module.${entry?.[0]}`, entry?.[1]]] as [string, StoredTensor][],
    }))
    for (const { file, entries } of shards) await writeFile(join(root, file), writeSafetensors(entries))
    const index = join(root, 'model.safetensors.index.json')
    const list = Object.fromEntries(
      shards.flatMap(({ file, entries }) => entries.map(([name]) => [name, file])),
    )
    const listed = (weightMap: Record<string, string>) =>
      writeFile(index, JSON.stringify({ metadata: { total_size: 32 }, weight_map: weightMap }))
    await listed(list)
    const imported = async (file: string, out: string) =>
      callPmoe(['import', file, '--into', into, '--out', join(root, out), ...wasm])
    for (const [file, out] of [
      [index, 'by-list'],
      [join(root, 'model-00002-of-00002.safetensors'), 'by-part'],
    ] as const) {
      expect(await imported(file, out)).toMatchObject({ code: 0 })
      const loaded = await tf.loadLayersModel(fileSystem(join(root, out)))
      expect(loaded.getWeights()[0]?.dataSync()).toEqual(kernel?.[1].data)
    }
    const refused = async (weightMap: Record<string, string>) => {
      await listed(weightMap)
      const { code, err } = await imported(index, 'refused')
      expect(code).toBe(1)
      return err
    }
    const [first, second] = Object.keys(list) as [string, string]
    expect(await refused({ ...list, [first]: '../a.safetensors' })).toContain(
      'index.json: files must lie beside it, got "../a.safetensors"',
    )
    expect(await refused({ ...list, more: shards[0]?.file as string })).toContain(
      'index.json: tensor "more" must be in model-00001-of-00002.safetensors, as listed, got nothing there',
    )
    expect(await refused({ [first]: list[first] as string, x: list[second] as string })).toContain(
      `tensor "${second}" must be listed in model-00002-of-00002.safetensors, which has it, got none`,
    )
    expect(await refused({ ...list, [first]: 'gone.safetensors' })).toMatch(
      /gone\.safetensors: file must be readable, got: ENOENT/,
    )
    await writeFile(join(root, 'gone.safetensors'), 'version https://git-lfs.github.com/spec/v1\n')
    expect(await refused({ ...list, [first]: 'gone.safetensors' })).toContain('git lfs pull')
  })

  test('says which flag is missing or out of place, with exit code 2', async () => {
    const out = ['--out', join(root, 'n'), ...wasm]
    const refused = async (...words: string[]) => {
      const { code, err } = await callPmoe(['import', file, ...words, ...out])
      expect(code).toBe(2)
      return err
    }
    expect(await refused()).toContain(
      `a network must be given by --into or by --model, got neither (${file} holds weights only)`,
    )
    expect(await refused('--widen', '2')).toContain('--widen must be used with --model, got no --model')
    expect(await refused('--into', 'x', '--model', 'wrn')).toContain('by --into or by --model, got both')
    expect(await refused('--into', 'x', '--widen', '2')).toContain(
      '--widen must be used with --model, got --into',
    )
    expect(await refused('--model', 'wrn', '--experts', '2')).toContain(
      '--experts must be used with --model wrn-pmoe, got --model wrn',
    )
    expect(await refused('--model', 'wrn', '--classes', '2')).toContain(
      '--image-size must be given with --model wrn, got none',
    )
    expect(await refused(...network.slice(0, 8))).toContain(
      '--experts must be given with --model wrn-pmoe, got none',
    )
    expect(await refused(...network, '--depth', '11')).toContain('depth must be 6n+4')
    const names = join(root, 'bad.json')
    await writeFile(names, '{ "a": 1 }')
    expect(await refused(...network, '--names', names)).toContain(
      `--names must be a JSON object of names, got ${names}: a: `,
    )
    await writeFile(names, 'a: b')
    expect(await refused(...network, '--names', names)).toContain(`got ${names}: Unexpected token`)
    await writeFile(names, '{}')
    expect(await refused(...network, '--names', names)).toContain(
      '--names must be used with safetensors, got ',
    )
    expect(await readdir(root)).not.toContain('n')
  })

  test('says what of the file does not fit, with exit code 1', async () => {
    const failed = async (...words: string[]) => {
      const { code, err } = await callPmoe(['import', ...words, ...wasm])
      expect(code).toBe(1)
      return err
    }
    const out = ['--out', join(root, 'n')]
    expect(await failed(join(root, 'none.h5'), ...network, ...out)).toContain(
      'none.h5: file must be readable, got: ENOENT',
    )
    const wider = network.with(network.indexOf('--classes') + 1, '5')
    expect(await failed(file, ...wider, ...out)).toContain(
      'layer "logits" must find weights of [64, 5] [5], got "layers/dense" of [64, 3] [3]',
    )
    const junk = join(root, 'junk.safetensors')
    await writeFile(junk, 'not a checkpoint')
    expect(await failed(junk, ...network, ...out)).toContain(
      'junk.safetensors: file must hold weights of Keras (.h5, .keras) or be safetensors, got a text, "not a checkpoint"',
    )
    await writeFile(junk, Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0, 0x7b))
    expect(await failed(junk, ...network, ...out)).toContain(
      'junk.safetensors: header length at byte 0 must be in [2, 1], got 3 (file of 9 bytes)',
    )
    const own = join(root, 'own.keras')
    await writeFile(
      own,
      zipBytes([
        { name: 'config.json', data: Buffer.from('{"class_name": "MyNet", "config": {}}') },
        { name: 'model.weights.h5', data: await readFile(file) },
      ]),
    )
    expect(await failed(own, ...out)).toMatch(
      /own\.keras: model must be of the class Sequential or Functional, got "?MyNet"?/,
    )
    // Its weights go into a network all the same.
    const network27 = await callPmoe(['import', own, ...network, '--out', join(root, 'own'), ...wasm])
    expect(network27.code).toBe(0)
    await writeFile(
      own,
      zipBytes([
        { name: 'config.json', data: Buffer.from('{') },
        { name: 'model.weights.h5', data: await readFile(file) },
      ]),
    )
    expect(await failed(own, ...out)).toContain('own.keras/config.json: file must be JSON, got: ')
    const torch = join(root, 'checkpoint.safetensors')
    await writeFile(torch, zipBytes([{ name: 'archive/data.pkl', data: Uint8Array.of(0x80, 2) }]))
    expect(await failed(torch, ...network, ...out)).toMatch(
      /checkpoint\.safetensors: file must hold .* got a PyTorch checkpoint .*safetensors\.torch\.save_file/,
    )
    expect(await failed(file, ...network, '--out', file)).toContain(
      'must be a new folder, got a file that is there',
    )
    expect(await readdir(root)).not.toContain('n')
  })
})
