import { checkBoxes } from '../compose/object-box.js'
import type { HalfName } from '../datasets/dataset.js'
import { readSafetensors, type StoredTensor, writeSafetensors } from '../formats/safetensors.js'
import type { PreparedManifest } from './manifest.js'

/** What is known of every prepared image without reading it. */
export interface PreparedIndex {
  /** Class of each record, (count). */
  readonly labels: Int32Array
  /** Group of each record, (count), where the images have groups. */
  readonly groups?: Int32Array
  /** The cell that shows the labelled class, (count), for composed images. */
  readonly trueCell?: Int32Array
  /** Where the labelled object lies, (count, 4): top, left, height and width in pixels, for images on backgrounds. */
  readonly objectBox?: Int32Array
  /** Where each record starts in its file, in bytes, (count). */
  readonly offsets: Float64Array
}

/** The bytes of an index: safetensors. */
export function writeIndex({ labels, groups, trueCell, objectBox, offsets }: PreparedIndex): Uint8Array {
  const shape = [labels.length]
  const integers = { labels, ...(groups && { groups }), ...(trueCell && { trueCell }) }
  const tensors = new Map<string, StoredTensor>(
    Object.entries(integers).map(([name, data]) => [name, { dtype: 'I32', shape, data }]),
  )
  if (objectBox) tensors.set('objectBox', { dtype: 'I32', shape: [labels.length, 4], data: objectBox })
  return writeSafetensors(tensors.set('offsets', { dtype: 'F64', shape, data: offsets }))
}

/**
 * Reads an index.
 *
 * @param name of the file, for errors
 * @param count how many records it must tell of
 * @throws RangeError when a part is missing, has another type or another shape
 */
export function readIndex(bytes: Uint8Array, name: string, count: number): PreparedIndex {
  const { tensors } = readSafetensors(bytes, name)
  const integers = (key: string, ofRecord: readonly number[] = []): Int32Array => {
    const tensor = shapeChecked(tensors.get(key), key, name, [count, ...ofRecord])
    if (tensor.dtype !== 'I32') throw wrongType(name, key, 'I32', tensor.dtype)
    return tensor.data
  }
  const offsets = shapeChecked(tensors.get('offsets'), 'offsets', name, [count])
  if (offsets.dtype !== 'F64') throw wrongType(name, 'offsets', 'F64', offsets.dtype)
  return {
    labels: integers('labels'),
    ...(tensors.has('groups') && { groups: integers('groups') }),
    ...(tensors.has('trueCell') && { trueCell: integers('trueCell') }),
    ...(tensors.has('objectBox') && { objectBox: integers('objectBox', [4]) }),
    offsets: offsets.data,
  }
}

/**
 * Checks that an index has the columns that the manifest calls for, with values in bounds.
 *
 * @param half whose index it is
 * @param name of the file, for errors
 * @throws RangeError naming the file and the first record that is out of bounds
 */
export function checkIndex(
  { labels, groups, trueCell, objectBox }: PreparedIndex,
  { classNames, groupNames, cells, objectBoxes, shape }: PreparedManifest,
  half: HalfName,
  name: string,
): void {
  const parts = [
    ['label', labels, classNames.length],
    ['group', groups, groupNames?.length ?? 0],
    ['cell', trueCell, cells ? cells[0] * cells[1] : 0],
  ] as const
  for (const [what, values, bound] of parts) {
    checkNamed(what, values, bound > 0, name)
    const wrong = values?.findIndex(value => value < 0 || value >= bound) ?? -1
    if (wrong < 0) continue
    throw new RangeError(
      `${name}: ${what} must be in [0, ${bound - 1}], got ${values?.[wrong]} (${half} record ${wrong})`,
    )
  }
  checkNamed('box', objectBox, objectBoxes ?? false, name)
  if (objectBox) checkBoxes(objectBox, [shape[0], shape[1]], name, record => `${half} record ${record}`)
}

function checkNamed(what: string, values: Int32Array | undefined, named: boolean, name: string): void {
  if ((values !== undefined) === named) return
  throw new RangeError(
    `${name}: index must have a ${what} a record exactly where the manifest names them, got ${values ? 'some' : 'none'}`,
  )
}

function shapeChecked(
  tensor: StoredTensor | undefined,
  key: string,
  name: string,
  [count, ...ofRecord]: readonly [count: number, ...ofRecord: number[]],
): StoredTensor {
  const expected = [count, ...ofRecord].join('x')
  const storedShape = tensor?.shape.join('x')
  if (tensor && storedShape === expected) return tensor
  const each = ofRecord.length > 0 ? ` with ${ofRecord.join('x')} numbers each` : ''
  throw new RangeError(`${name}: ${key} must be of ${count} records${each}, got ${storedShape ?? 'nothing'}`)
}

function wrongType(name: string, key: string, expected: string, stored: string): RangeError {
  return new RangeError(`${name}: ${key} must be of type ${expected}, got ${stored}`)
}
