import { shapeSize } from '../../shapes.js'
import { widenBfloat16, widenFloat16 } from './narrow-floats.js'

/**
 * Reads and writes safetensors bytes: an 8-byte little-endian header length, a JSON header, then the tensors'
 * data.
 *
 * Reference: the format section of https://github.com/huggingface/safetensors
 */

/** Names of the element types that are read and written, and their typed arrays. */
interface TensorArrays {
  readonly F32: Float32Array
  readonly F64: Float64Array
  readonly I32: Int32Array
  readonly I64: BigInt64Array
  readonly U8: Uint8Array
}

/** Element type of a stored tensor, as safetensors names it; narrower ones of a file are widened to these. */
export type TensorDtype = keyof TensorArrays

/** One stored tensor: its element type, its shape, and its elements in row-major order. */
export type StoredTensor = {
  [Dtype in TensorDtype]: {
    readonly dtype: Dtype
    readonly shape: readonly number[]
    readonly data: TensorArrays[Dtype]
  }
}[TensorDtype]

/** What a safetensors file holds. */
export interface SafetensorsContent {
  /** Tensors by name. */
  readonly tensors: ReadonlyMap<string, StoredTensor>
  /** Free text that the writer stored with them; empty when there is none. */
  readonly metadata: Readonly<Record<string, string>>
}

const bytesPerElement: Readonly<Record<TensorDtype, number>> = { F32: 4, F64: 8, I32: 4, I64: 8, U8: 1 }
/** Element types that files may have besides; each is read as a wider one that holds all its numbers exactly. */
const narrowTypes = {
  F16: { bytes: 2, widen: buffer => ({ dtype: 'F32', data: widenFloat16(new Uint16Array(buffer)) }) },
  BF16: { bytes: 2, widen: buffer => ({ dtype: 'F32', data: widenBfloat16(new Uint16Array(buffer)) }) },
  I8: { bytes: 1, widen: buffer => ({ dtype: 'I32', data: Int32Array.from(new Int8Array(buffer)) }) },
  I16: { bytes: 2, widen: buffer => ({ dtype: 'I32', data: Int32Array.from(new Int16Array(buffer)) }) },
  U16: { bytes: 2, widen: buffer => ({ dtype: 'I32', data: Int32Array.from(new Uint16Array(buffer)) }) },
  U32: {
    bytes: 4,
    widen: buffer => ({ dtype: 'I64', data: BigInt64Array.from([...new Uint32Array(buffer)], BigInt) }),
  },
  BOOL: { bytes: 1, widen: buffer => ({ dtype: 'U8', data: new Uint8Array(buffer) }) },
} satisfies Record<string, { readonly bytes: number; readonly widen: (buffer: ArrayBuffer) => Widened }>
type Widened = DistributiveOmit<StoredTensor, 'shape'>
type DistributiveOmit<T, K extends keyof T> = T extends unknown ? Omit<T, K> : never
type FileDtype = TensorDtype | keyof typeof narrowTypes
const fileDtypes = [...Object.keys(bytesPerElement), ...Object.keys(narrowTypes)]
const lengthFieldBytes = 8
const largestHeader = 100_000_000
const metadataKey = '__metadata__'

/**
 * Reads a safetensors file.
 *
 * Every length, offset and shape is checked before a tensor is allocated; tensors are aligned copies, so
 * `bytes` may be reused afterwards. Numbers of narrower types become wider ones, exactly: F16 and BF16 are read as F32,
 * I8, I16 and U16 as I32, U32 as I64, BOOL as U8.
 *
 * @param bytes the whole file
 * @param name the file's name, for errors
 * @returns tensors by name, and the metadata
 * @throws RangeError with the byte offset when the header's length, an entry, or the layout of the data is
 *   wrong
 * @throws Error with its cause when the header is not JSON in UTF-8
 */
export function readSafetensors(bytes: Uint8Array, name: string): SafetensorsContent {
  const header = readHeader(bytes, name)
  const dataStart = lengthFieldBytes + header.length
  const entries: TensorEntry[] = []
  let metadata: Readonly<Record<string, string>> = {}
  for (const [key, value] of Object.entries(header.json)) {
    if (key === metadataKey) metadata = parseMetadata(value, name)
    else entries.push(parseEntry(key, value, bytes.length - dataStart, name))
  }
  checkLayout(entries, dataStart, bytes.length, name)
  const tensors = new Map<string, StoredTensor>()
  for (const entry of entries) tensors.set(entry.key, copyTensor(entry, bytes, dataStart))
  return { tensors, metadata }
}

/**
 * Writes tensors as a safetensors file.
 *
 * The header keeps the given order of names; the data are laid out from the widest to the narrowest element
 * type, so that every tensor starts at a multiple of its element size.
 *
 * @param tensors tensors by name; the number of elements must equal the product of the shape
 * @param metadata free text to store with them
 * @returns the bytes of the file; the same input gives the same bytes
 * @throws RangeError when a shape and its data differ, or a tensor is named `__metadata__`
 * @throws TypeError when the data are not the typed array of the dtype
 */
export function writeSafetensors(
  tensors: Iterable<readonly [string, StoredTensor]>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const entries = [...tensors].map(([key, tensor]) => ({ key, tensor, begin: 0 }))
  for (const { key, tensor } of entries) checkWritable(key, tensor)
  let dataBytes = 0
  const widestFirst = [...entries].sort(
    (a, b) => bytesPerElement[b.tensor.dtype] - bytesPerElement[a.tensor.dtype],
  )
  for (const entry of widestFirst) {
    entry.begin = dataBytes
    dataBytes += entry.tensor.data.byteLength
  }
  const fields = entries.map(({ key, tensor, begin }) => {
    const offsets = [begin, begin + tensor.data.byteLength]
    const info = { dtype: tensor.dtype, shape: tensor.shape, data_offsets: offsets }
    return `${JSON.stringify(key)}:${JSON.stringify(info)}`
  })
  if (Object.keys(metadata).length > 0) fields.unshift(`"${metadataKey}":${JSON.stringify(metadata)}`)
  const header = new TextEncoder().encode(`{${fields.join(',')}}`)
  const headerBytes = Math.ceil(header.length / 8) * 8
  const dataStart = lengthFieldBytes + headerBytes

  const bytes = new Uint8Array(dataStart + dataBytes)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true)
  bytes.fill(0x20, lengthFieldBytes, dataStart)
  bytes.set(header, lengthFieldBytes)
  for (const { tensor, begin } of entries) {
    const { buffer, byteOffset, byteLength } = tensor.data
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), dataStart + begin)
  }
  return bytes
}

interface TensorEntry {
  readonly key: string
  readonly dtype: FileDtype
  readonly shape: readonly number[]
  /** First byte, counted from the start of the data. */
  readonly begin: number
  readonly end: number
}

function readHeader(bytes: Uint8Array, name: string): { length: number; json: Record<string, unknown> } {
  if (bytes.length < lengthFieldBytes) {
    throw new RangeError(
      `${name}: header length at byte 0 must take ${lengthFieldBytes} bytes, got a file of ${bytes.length}`,
    )
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const written = view.getBigUint64(0, true)
  const most = Math.min(bytes.length - lengthFieldBytes, largestHeader)
  if (written < 2n || written > BigInt(most)) {
    throw new RangeError(
      `${name}: header length at byte 0 must be in [2, ${most}], got ${written} (file of ${bytes.length} bytes)`,
    )
  }
  const length = Number(written)
  const text = bytes.subarray(lengthFieldBytes, lengthFieldBytes + length)
  const json = parseHeader(text, name)
  if (!isRecord(json)) {
    throw new RangeError(
      `${name}: header at byte ${lengthFieldBytes} must be a JSON object, got ${brief(json)}`,
    )
  }
  return { length, json }
}

function parseHeader(text: Uint8Array, name: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(text))
  } catch (cause) {
    const end = lengthFieldBytes + text.length
    throw new Error(
      `${name}: header at bytes ${lengthFieldBytes} to ${end} must be JSON in UTF-8, got other bytes`,
      {
        cause,
      },
    )
  }
}

function parseMetadata(value: unknown, name: string): Readonly<Record<string, string>> {
  if (isRecord(value) && Object.values(value).every(text => typeof text === 'string')) {
    return value as Record<string, string>
  }
  throw new RangeError(`${name}: ${metadataKey} must map names to texts, got ${brief(value)}`)
}

function parseEntry(key: string, value: unknown, dataBytes: number, name: string): TensorEntry {
  const fail = (requirement: string, got: unknown): never => {
    throw new RangeError(`${name}: tensor "${key}" must ${requirement}, got ${brief(got)}`)
  }
  if (!isRecord(value)) return fail('be an object of dtype, shape and data_offsets', value)
  const { dtype, shape, data_offsets: offsets } = value
  if (!isFileDtype(dtype)) return fail(`have a dtype of ${fileDtypes.join(', ')}`, dtype)
  if (!isCounts(shape)) return fail('have a shape of integers of at least 0', shape)
  if (!isCounts(offsets) || offsets.length !== 2) return fail('have data_offsets [begin, end]', offsets)
  const [begin = 0, end = 0] = offsets
  if (begin > end || end > dataBytes) {
    return fail(`have data_offsets in order and within the ${dataBytes} bytes of data`, offsets)
  }
  const expected = shapeSize(shape) * bytesIn(dtype)
  if (end - begin !== expected) {
    return fail(`take ${expected} bytes (${dtype} of shape [${shape.join(', ')}])`, end - begin)
  }
  return { key, dtype, shape, begin, end }
}

/** The format wants the tensors to fill the data without overlap or hole. */
function checkLayout(
  entries: readonly TensorEntry[],
  dataStart: number,
  fileBytes: number,
  name: string,
): void {
  let filled = 0
  let before = 'the header'
  for (const { key, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== filled) {
      throw new RangeError(
        `${name}: tensor "${key}" must start at byte ${dataStart + filled}, where ${before} ends, ` +
          `got byte ${dataStart + begin}`,
      )
    }
    filled = end
    before = `tensor "${key}"`
  }
  if (dataStart + filled !== fileBytes) {
    throw new RangeError(
      `${name}: file must end at byte ${dataStart + filled}, where ${before} ends, got ${fileBytes} bytes`,
    )
  }
}

function copyTensor(
  { dtype, shape, begin, end }: TensorEntry,
  bytes: Uint8Array,
  dataStart: number,
): StoredTensor {
  // Not slice(): Node's Buffer redefines it to share memory.
  const { buffer } = new Uint8Array(bytes.subarray(dataStart + begin, dataStart + end))
  if (isNarrow(dtype)) return { shape, ...narrowTypes[dtype].widen(buffer) }
  switch (dtype) {
    case 'F32':
      return { dtype, shape, data: new Float32Array(buffer) }
    case 'F64':
      return { dtype, shape, data: new Float64Array(buffer) }
    case 'I32':
      return { dtype, shape, data: new Int32Array(buffer) }
    case 'I64':
      return { dtype, shape, data: new BigInt64Array(buffer) }
    case 'U8':
      return { dtype, shape, data: new Uint8Array(buffer) }
  }
}

function checkWritable(key: string, { dtype, shape, data }: StoredTensor): void {
  if (key === metadataKey) {
    throw new RangeError(`writeSafetensors: a tensor's name must differ from ${metadataKey}, got ${key}`)
  }
  if (!isTypedArrayOf(dtype, data)) {
    const got = (data as object).constructor.name
    throw new TypeError(`writeSafetensors: data of "${key}" must be the typed array of ${dtype}, got ${got}`)
  }
  if (!isCounts(shape) || shapeSize(shape) !== data.length) {
    throw new RangeError(
      `writeSafetensors: shape of "${key}" must hold ${data.length} elements, got [${shape.join(', ')}]`,
    )
  }
}

function isTypedArrayOf(dtype: TensorDtype, data: unknown): boolean {
  switch (dtype) {
    case 'F32':
      return data instanceof Float32Array
    case 'F64':
      return data instanceof Float64Array
    case 'I32':
      return data instanceof Int32Array
    case 'I64':
      return data instanceof BigInt64Array
    case 'U8':
      return data instanceof Uint8Array
  }
}

function isFileDtype(value: unknown): value is FileDtype {
  return typeof value === 'string' && fileDtypes.includes(value)
}

function isNarrow(dtype: FileDtype): dtype is keyof typeof narrowTypes {
  return Object.hasOwn(narrowTypes, dtype)
}

function bytesIn(dtype: FileDtype): number {
  return isNarrow(dtype) ? narrowTypes[dtype].bytes : bytesPerElement[dtype]
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(side => Number.isSafeInteger(side) && side >= 0)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 80 ? `${text.slice(0, 80)}...` : text
}
