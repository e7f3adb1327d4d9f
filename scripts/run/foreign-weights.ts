import { existsSync } from 'node:fs'
import { open, readdir, stat } from 'node:fs/promises'
import { PbfReader } from 'pbf'
import type { DataSource } from '../../src/data/data-source.js'
import { specialFile } from '../../src/files/regular-file.js'
import { zipSource } from '../../src/files/zip/zip-source.js'

/** A file or folder that weights cannot be read from, recognised by its content. */
export interface ForeignWeights {
  /** What it is: `a PyTorch checkpoint (...)`. */
  readonly what: string
  /** What a person can do, where there is something. */
  readonly advice?: string
  /** Whether tfjs wrote it, so that it has only another name than commands look for. */
  readonly isTfjsModel?: boolean
}

const inPyTorch =
  "in Python, save its state_dict with safetensors.torch.save_file(state_dict, 'weights.safetensors') and import that file, with --names"
const inTensorFlow =
  "in Python, load them into the Keras model, call model.save_weights('model.weights.h5') and import that file"
const fromItsSource =
  'save the weights as .weights.h5 or safetensors where the model was trained, and import that file'
const downloadAgain = 'download the file itself again'

/**
 * Says what a file or folder is that is neither Keras's HDF5, nor a `.keras` archive, nor safetensors.
 *
 * @returns undefined for what can be read, and for a path that does not exist
 * @throws Error when it exists and cannot be read
 */
export async function foreignWeights(path: string): Promise<ForeignWeights | undefined> {
  const stats = await stat(path).catch(() => undefined)
  if (!stats) return existsSync(`${path}.index`) ? tensorFlowCheckpoint : undefined
  if (stats.isDirectory()) return foreignFolder(await readdir(path))
  const special = specialFile(stats)
  if (special !== undefined) return { what: special }
  const { head, tail } = await endsOf(path, stats.size)
  if (head.length === 0) return { what: 'an empty file', advice: downloadAgain }
  if (isText(head)) return foreignText(head.toString('utf8'))
  if (startsWith(head, zipSignature)) return foreignArchive(path, head)
  return foreignBytes(path, head, tail)
}

/** The signatures of the formats that are read; safetensors has its header's length first. */
const zipSignature = '504b0304'
const hdf5Signature = '894844460d0a1a0a'
const openingBrace = 0x7b

function startsWith(bytes: Buffer, hex: string): boolean {
  return bytes.subarray(0, hex.length / 2).toString('hex') === hex
}

const headBytes = 2 ** 16

async function endsOf(path: string, size: number): Promise<{ head: Buffer; tail: Buffer }> {
  const file = await open(path)
  try {
    const readPart = async (length: number, position: number) => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position)
      return buffer.subarray(0, bytesRead)
    }
    return { head: await readPart(headBytes, 0), tail: await readPart(8, Math.max(0, size - 8)) }
  } finally {
    await file.close()
  }
}

const tensorFlowCheckpoint: ForeignWeights = {
  what: 'a TensorFlow checkpoint (.index and .data files)',
  advice: inTensorFlow,
}
const kerasInParts: ForeignWeights = {
  what: 'the list of Keras weights in several files',
  advice: "save them in one, by model.save_weights('model.weights.h5') without max_shard_size",
}
const tfjsModel: ForeignWeights = {
  what: 'a saved tfjs model',
  advice: 'it can be used as it is, by --into of this command and --init of pmoe train',
  isTfjsModel: true,
}

function foreignFolder(names: readonly string[]): ForeignWeights {
  const has = (pattern: RegExp) => names.find(name => pattern.test(name))
  if (has(/^saved_model\.pb(txt)?$/)) {
    return { what: 'the folder of a TensorFlow SavedModel', advice: inTensorFlow }
  }
  if (has(/^checkpoint$|\.index$/)) return tensorFlowCheckpoint
  if (has(/^model\.json$/)) return tfjsModel
  if (has(/^data\.pkl$/)) return { what: 'the folder of an unpacked PyTorch checkpoint', advice: inPyTorch }
  const inside = has(/\.safetensors\.index\.json$/) ?? has(/\.safetensors$/) ?? has(/\.(h5|hdf5|keras)$/)
  return { what: 'a folder', advice: inside ? `give the file in it, ${inside}` : 'give the file' }
}

/** Whether bytes are UTF-8 text: binary numbers nearly always contain invalid sequences or control characters. */
function isText(head: Buffer): boolean {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: true })
    // biome-ignore lint/suspicious/noControlCharactersInRegex: texts do not contain them
    return !/[\x00-\x08\x0e-\x1f\x7f]/.test(text)
  } catch {
    return false
  }
}

function foreignText(text: string): ForeignWeights | undefined {
  const start = text.trimStart().toLowerCase()
  if (start.startsWith('version https://git-lfs')) {
    return {
      what: 'the pointer that Git LFS puts in the place of a large file',
      advice: 'get the file itself with git lfs pull',
    }
  }
  if (/^(<!--[\s\S]*?-->\s*)?(<\?xml[\s\S]*?\?>\s*)?(<!doctype html|<html|<head)/.test(start)) {
    return { what: 'a web page (HTML)', advice: downloadAgain }
  }
  if (start.startsWith('<')) return { what: 'XML, such as the message of a server', advice: downloadAgain }
  if (start.startsWith('model_checkpoint_path:')) return tensorFlowCheckpoint
  if (/"modeltopology"/.test(start)) return tfjsModel
  if (/"weight_map"\s*:/.test(start)) return /\.h5"/.test(start) ? kerasInParts : undefined
  if (/^[{[]/.test(start)) return { what: 'JSON without weights' }
  return { what: `a text, ${JSON.stringify(text.trim().slice(0, 40))}`, advice: downloadAgain }
}

async function foreignArchive(path: string, head: Buffer): Promise<ForeignWeights | undefined> {
  // A truncated archive has no list of its files, but a header before the first one that holds its name.
  const first = head.subarray(30, 30 + head.readUInt16LE(26)).toString()
  const listed = await namesIn(zipSource(path)).catch(() => undefined)
  const names = listed ?? [first]
  if (names.includes('model.weights.h5')) return undefined
  const has = (pattern: RegExp) => names.some(name => pattern.test(name))
  if (has(/(^|\/)constants\.pkl$/)) {
    return { what: 'a TorchScript model of PyTorch (a zip archive)', advice: inPyTorch }
  }
  if (has(/(^|\/)data\.pkl$/) || /\/(data|\.data|byteorder|\.format_version)(\/|$)/.test(first)) {
    return { what: 'a PyTorch checkpoint (a zip archive with data.pkl)', advice: inPyTorch }
  }
  // Other damage is reported when the archive is read.
  if (!listed) return undefined
  if (names.every(name => name.endsWith('.npy'))) {
    return { what: 'arrays of NumPy (.npz)', advice: 'save them with safetensors.numpy.save_file' }
  }
  const firstNames = `${names.slice(0, 3).join(', ')}${names.length > 3 ? ' ...' : ''}`
  return {
    what: `a zip archive without model.weights.h5 (it holds ${firstNames})`,
    advice: 'unpack it first',
  }
}

/** All files of an archive, with their folders. */
async function namesIn(archive: DataSource, folder = ''): Promise<string[]> {
  const names = await archive.list(folder)
  const all = names.map(async name =>
    name.endsWith('/') ? namesIn(archive, folder + name) : [folder + name],
  )
  return (await Promise.all(all)).flat()
}

/** Kinds of files by the bytes that they begin with, in hexadecimal. */
const signatures: readonly (readonly [string, ForeignWeights])[] = [
  ['1f8b', { what: 'a gzip file', advice: 'unpack it first' }],
  ['425a68', { what: 'a bzip2 file', advice: 'unpack it first' }],
  ['fd377a585a00', { what: 'an xz file', advice: 'unpack it first' }],
  ['28b52ffd', { what: 'a zstd file', advice: 'unpack it first' }],
  ['377abcaf271c', { what: 'a 7z archive', advice: 'unpack it first' }],
  [
    '934e554d5059',
    { what: 'an array of NumPy (.npy)', advice: 'save arrays with safetensors.numpy.save_file' },
  ],
  ['47475546', { what: 'a GGUF model', advice: fromItsSource }],
]
const levelDbEnd = '57fb808b247547db'
const oldPyTorch = '8a0a6cfc9c46f9206aa85019'

function foreignBytes(path: string, head: Buffer, tail: Buffer): ForeignWeights | undefined {
  if (startsWith(head, hdf5Signature)) return undefined
  const signature = signatures.find(([hex]) => startsWith(head, hex))
  if (signature) return signature[1]
  if (head[0] === 0x80 && (head[1] ?? 0) >= 2 && (head[1] ?? 0) <= 5) return foreignPickle(head)
  if (head.toString('latin1', 257, 262) === 'ustar') return foreignTar(head)
  if (tail.toString('hex') === levelDbEnd || /\.data-\d{5}-of-\d{5}$/.test(path)) return tensorFlowCheckpoint
  if (head.toString('latin1', 4, 8) === 'TFL3')
    return { what: 'a TensorFlow Lite model', advice: fromItsSource }
  const graph = foreignGraph(head)
  if (graph) return graph
  // A safetensors file begins with 8 bytes, the length of a JSON object, and then that object.
  if (head.length < 9 || head[8] === openingBrace) return undefined
  return {
    what: `another kind of file (it starts with ${head
      .subarray(0, 4)
      .toString('hex')
      .replace(/..(?=.)/g, '$& ')})`,
  }
}

function foreignPickle(head: Buffer): ForeignWeights {
  if (head.subarray(2, 14).toString('hex') === oldPyTorch) {
    return { what: 'a PyTorch checkpoint (of the format before PyTorch 1.6)', advice: inPyTorch }
  }
  const isPyTorch = head.includes('torch')
  return {
    what: isPyTorch ? 'a PyTorch checkpoint (a pickle)' : 'a Python pickle, such as a checkpoint of PyTorch',
    advice: inPyTorch,
  }
}

function foreignTar(head: Buffer): ForeignWeights {
  const first = head.toString('latin1', 0, 100).replace(/\0.*$/, '')
  return /^(\.\/)?(sys_info|pickle|storages|tensors)$/.test(first)
    ? { what: 'a PyTorch checkpoint (a tar archive of its first versions)', advice: inPyTorch }
    : { what: 'a tar archive', advice: 'unpack it first' }
}

/** Models as protobuf messages: ONNX has the version of its format and a graph, TensorFlow a schema and graphs. */
function foreignGraph(head: Buffer): ForeignWeights | undefined {
  const fields = messageFields(head)
  if (fields.has(1) && fields.has(7)) return { what: 'an ONNX model', advice: fromItsSource }
  const ofTensorFlow =
    [...fields].every(field => field <= 4) && /Placeholder|Const|NoOp|serve/.test(head.toString('latin1'))
  return fields.size > 0 && ofTensorFlow
    ? { what: 'a graph of TensorFlow (.pb)', advice: inTensorFlow }
    : undefined
}

/** Field numbers in the first bytes of a protobuf message; empty for bytes that are no message. */
function messageFields(head: Buffer): ReadonlySet<number> {
  const fields = new Set<number>()
  try {
    new PbfReader(head).readFields<null>((field, _, pbf) => {
      const type = pbf.type
      if (field === 0 || field > 32 || (type !== 0 && type !== 2)) throw new Error('no message')
      fields.add(field)
    }, null)
  } catch {
    return fields.has(7) ? fields : new Set()
  }
  return fields
}
