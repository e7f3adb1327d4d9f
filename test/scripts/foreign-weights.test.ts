import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import * as tf from '@tensorflow/tfjs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { foreignWeights } from '../../scripts/run/foreign-weights.js'
import { writeSafetensors } from '../../src/data/formats/safetensors.js'
import { exportOnnx } from '../../src/export/onnx/onnx.js'
import { useTestBackend } from '../backend-under-test.js'
import { zipBytes } from '../files/zip-bytes.js'

let root: string
beforeAll(async () => {
  await useTestBackend()
  root = await mkdtemp(join(tmpdir(), 'pmoe-foreign-'))
})
afterAll(() => rm(root, { recursive: true }))

const zip = (...names: string[]) => zipBytes(names.map(name => ({ name, data: Buffer.from('content') })))
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const tar = (first: string) => {
  const block = Buffer.alloc(1024)
  block.write(first)
  block.write('ustar', 257)
  return block
}

const files: [string, string, Uint8Array | string, RegExp][] = [
  ['a checkpoint', 'a.pth', zip('archive/data.pkl', 'archive/data/0'), /^a PyTorch checkpoint .*state_dict/],
  ['one of another folder and name', 'model.bin', zip('best/data.pkl', 'best/version'), /^a PyTorch check/],
  ['one that is called .keras', 'a.keras', zip('x/y/data.pkl'), /^a PyTorch checkpoint/],
  ['one cut short', 'b.pt', zip('run/data/0', 'run/data.pkl').subarray(0, 60), /^a PyTorch checkpoint/],
  ['a script', 'c.pt', zip('net/data.pkl', 'net/constants.pkl', 'net/code/a.py'), /^a TorchScript model/],
  [
    'of old',
    'd.pth',
    hex('80 02 8a 0a 6c fc 9c 46 f9 20 6a a8 50 19 2e 80 02 4d e9 03 2e'),
    /^a PyTorch checkpoint \(of the format before PyTorch 1\.6\)/,
  ],
  ['a pickle', 'e.ckpt', hex('80 04 95 0a 00 00 00 00 00 00 00 7d 94 2e'), /^a Python pickle, .*safetensors/],
  [
    'a pickle with torch in it',
    'f.pkl',
    Buffer.from('\x80\x02ctorch._utils\n', 'latin1'),
    /^a PyTorch check/,
  ],
  ['of very old', 'g.pth', tar('storages'), /^a PyTorch checkpoint \(a tar/],
  ['a tar', 'h.pth.tar', tar('weights.h5'), /^a tar archive: unpack it first/],
  ['gzip', 'i.h5.gz', gzipSync('x'), /^a gzip file: unpack/],
  ['npz', 'j.npz', zip('conv/kernel.npy', 'bias.npy'), /^arrays of NumPy/],
  ['npy', 'k.npy', Buffer.from('\x93NUMPY\x01\x00', 'latin1'), /^an array of NumPy/],
  [
    'another zip',
    'l.zip',
    zip('a/x.h5', 'b', 'c', 'd'),
    /^a zip archive without model.weights.h5 \(it holds /,
  ],
  ['LFS', 'm.h5', 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n', /git lfs pull/],
  ['a page', 'n.safetensors', '\n<!DOCTYPE html><html lang="de"><p>ü</p>', /^a web page \(HTML\): download/],
  ['a page of old', 'o.h5', '<?xml version="1.0"?>\n<!doctype HTML PUBLIC "x">', /^a web page/],
  ['an error of a store', 'p.h5', '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', /^XML/],
  ['an answer', 'q.h5', 'Entry not found', /^a text, "Entry not found": download/],
  ['nothing', 'r.h5', '', /^an empty file/],
  ['tfjs', 'model.json', '{"format":"layers-model","modelTopology":{}}', /^a saved tfjs model: .*--into/],
  ['JSON', 's.json', '{"a": 1}', /^JSON without weights/],
  [
    'shards of Keras',
    't.json',
    '{"weight_map": {"/layers/d/vars": "a_00000.weights.h5"}}',
    /^the list of Keras/,
  ],
  ['a list', 'checkpoint', 'model_checkpoint_path: "ckpt-1"\n', /^a TensorFlow checkpoint .*save_weights/],
  ['its index', 'ckpt-1.index', hex('00 00 08 01 00 00 57 fb 80 8b 24 75 47 db'), /^a TensorFlow checkpoint/],
  ['its data', 'ckpt-1.data-00000-of-00001', hex('00 00 80 3f 00 00 80 3f 01 02'), /^a TensorFlow check/],
  [
    'a graph',
    'frozen.pb',
    Buffer.from('\n\x11\n\x01x\x12\x0bPlaceholder"\x02\b\x01', 'latin1'),
    /^a graph of Ten/,
  ],
  ['TFLite', 'u.tflite', Buffer.from('\x1c\0\0\0TFL3\0\0', 'latin1'), /^a TensorFlow Lite model/],
  [
    'something',
    'v.weights',
    hex('89 50 4e 47 00 01 02 03 04 05'),
    /^another kind of file \(it starts with 89 50 4e 47\)/,
  ],
]

const said = async (path: string) => {
  const foreign = await foreignWeights(path)
  return foreign && [foreign.what, foreign.advice].filter(Boolean).join(': ')
}

test.each(files)('names a file by its content: %s', async (_, name, content, expected) => {
  const path = join(root, name)
  await writeFile(path, content)
  expect(await said(path)).toMatch(expected)
})

test('names an ONNX model, whatever it is called', async () => {
  const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [2] })] })
  const path = join(root, 'net.h5')
  await writeFile(path, (await exportOnnx(model)).bytes)
  expect(await said(path)).toMatch(/^an ONNX model: save the weights/)
})

test.each([
  ['saved_model.pb', /^the folder of a TensorFlow SavedModel: .*save_weights/],
  ['ckpt-3.index', /^a TensorFlow checkpoint/],
  ['model.json', /^a saved tfjs model/],
  ['data.pkl', /^the folder of an unpacked PyTorch checkpoint/],
  ['model.safetensors.index.json', /^a folder: give the file in it, model\.safetensors\.index\.json/],
  ['notes.txt', /^a folder: give the file$/],
])('names a folder with %s', async (name, expected) => {
  const folder = join(root, `folder-${name}`)
  await mkdir(folder)
  await writeFile(join(folder, name), 'x')
  expect(await said(folder)).toMatch(expected)
})

test('lets pass what can be read, what is damaged, and what is not there', async () => {
  const path = join(root, 'good')
  const tensor = { dtype: 'F32', shape: [1], data: Float32Array.of(1) } as const
  const bytes = writeSafetensors([['a', tensor]])
  const readable = [
    bytes,
    bytes.subarray(0, 20),
    zip('config.json', 'model.weights.h5'),
    zip('config.json', 'model.weights.h5').subarray(0, 60),
    hex('89 48 44 46 0d 0a 1a 0a 00'),
    '{"weight_map": {"a": "model-00001-of-00002.safetensors"}}',
  ]
  for (const content of readable) {
    await writeFile(path, content)
    expect(await foreignWeights(path)).toBeUndefined()
  }
  expect(await foreignWeights(join(root, 'none'))).toBeUndefined()
  // The name of a TensorFlow checkpoint is the beginning of its files' names.
  expect(await said(join(root, 'ckpt-1'))).toMatch(/^a TensorFlow checkpoint/)
})
