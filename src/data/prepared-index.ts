import { readSafetensors, type StoredTensor, writeSafetensors } from './safetensors.js'

/** What is known of every prepared image without reading it. */
export interface PreparedIndex {
  /** Class of each record, (count). */
  readonly labels: Int32Array
  /** Group of each record, (count), where the images have groups. */
  readonly groups?: Int32Array
  /** The cell that shows the labelled class, (count), for composed images. */
  readonly trueCell?: Int32Array
  /** Where each record starts in its file, in bytes, (count). */
  readonly offsets: Float64Array
}

/** The bytes of an index: safetensors. */
export function writeIndex({ labels, groups, trueCell, offsets }: PreparedIndex): Uint8Array {
  const shape = [labels.length]
  const integers = { labels, ...(groups && { groups }), ...(trueCell && { trueCell }) }
  const tensors = new Map<string, StoredTensor>(
    Object.entries(integers).map(([name, data]) => [name, { dtype: 'I32', shape, data }]),
  )
  return writeSafetensors(tensors.set('offsets', { dtype: 'F64', shape, data: offsets }))
}

/**
 * Reads an index.
 *
 * @param name of the file, for errors
 * @param count how many records it must tell of
 * @throws RangeError when a part is missing, has another type or another length
 */
export function readIndex(bytes: Uint8Array, name: string, count: number): PreparedIndex {
  const { tensors } = readSafetensors(bytes, name)
  const integers = (key: string): Int32Array => {
    const tensor = lengthChecked(tensors.get(key), key, name, count)
    if (tensor.dtype !== 'I32') throw wrongType(name, key, 'I32', tensor.dtype)
    return tensor.data
  }
  const offsets = lengthChecked(tensors.get('offsets'), 'offsets', name, count)
  if (offsets.dtype !== 'F64') throw wrongType(name, 'offsets', 'F64', offsets.dtype)
  return {
    labels: integers('labels'),
    ...(tensors.has('groups') && { groups: integers('groups') }),
    ...(tensors.has('trueCell') && { trueCell: integers('trueCell') }),
    offsets: offsets.data,
  }
}

function lengthChecked(
  tensor: StoredTensor | undefined,
  key: string,
  name: string,
  count: number,
): StoredTensor {
  if (tensor?.data.length === count) return tensor
  throw new RangeError(
    `${name}: ${key} must be of ${count} records, got ${tensor ? tensor.data.length : 'nothing'}`,
  )
}

function wrongType(name: string, key: string, expected: string, found: string): RangeError {
  return new RangeError(`${name}: ${key} must be of type ${expected}, got ${found}`)
}
