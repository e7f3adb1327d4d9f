/**
 * Decodes TensorFlow's `tf.train.Example`: named features, each a list of byte strings, floats or 64-bit integers.
 *
 * Reference: tensorflow/core/example/example.proto and feature.proto, and
 * https://protobuf.dev/programming-guides/encoding
 */

/** The value of one feature. */
export type Feature =
  | { readonly kind: 'bytes'; readonly values: readonly Uint8Array[] }
  | { readonly kind: 'floats'; readonly values: readonly number[] }
  /** Integers that a number cannot hold, of 54 bits and more, are of type bigint. */
  | { readonly kind: 'integers'; readonly values: readonly (number | bigint)[] }

/** An Example: its features by name. */
export type Example = ReadonlyMap<string, Feature>

/** Wire types of protocol buffers. */
const wire = { varint: 0, eight: 1, length: 2, four: 5 } as const
const kinds = ['bytes', 'floats', 'integers'] as const

/**
 * Decodes one Example.
 *
 * @param bytes of the message
 * @param name of the record, for errors
 * @returns features by name; byte strings are views of `bytes`
 * @throws RangeError with the byte offset when the bytes are no Example
 */
export function decodeExample(bytes: Uint8Array, name: string): Example {
  const example = new Map<string, Feature>()
  const cursor = new Cursor(bytes, name)
  for (const message of cursor.messages(1, bytes.length)) {
    for (const entry of cursor.messages(1, message)) readFeature(cursor, entry, example)
  }
  return example
}

/**
 * Finds where the bytes of an Example's first feature stand, from the beginning of the message alone.
 *
 * @param head the first bytes of the message
 * @param name of the record, for errors
 * @returns its key, and the position and number of its bytes; undefined where the message does not begin with a feature of bytes
 * @throws RangeError with the byte offset when the bytes are no Example
 */
export function firstFeatureBytes(
  head: Uint8Array,
  name: string,
): { readonly key: string; readonly start: number; readonly length: number } | undefined {
  const cursor = new Cursor(head, name)
  // Example: features (1), the first entry of its map (1): key (1), then Feature (2): BytesList (1): a value (1).
  const length = (field: number): number | undefined =>
    cursor.varint() === tagOf(field) ? cursor.varint() : undefined
  if (length(1) === undefined || length(1) === undefined) return undefined
  const keyLength = length(1)
  if (keyLength === undefined || cursor.at + keyLength > head.length) return undefined
  const key = cursor.text(cursor.at + keyLength)
  if (length(2) === undefined || length(1) === undefined) return undefined
  const bytes = length(1)
  return bytes === undefined ? undefined : { key, start: cursor.at, length: bytes }
}

/** One entry of the map: key (1), Feature (2). */
function readFeature(cursor: Cursor, end: number, example: Map<string, Feature>): void {
  let key = ''
  let feature: Feature = { kind: 'bytes', values: [] }
  while (cursor.at < end) {
    const tag = cursor.varint()
    if (tag === tagOf(1)) key = cursor.text(cursor.end(end))
    else if (tag === tagOf(2)) feature = readLists(cursor, cursor.end(end)) ?? feature
    else cursor.skip(tag, end)
  }
  example.set(key, feature)
}

/** BytesList (1), FloatList (2) or Int64List (3); of several the last one counts. */
function readLists(cursor: Cursor, end: number): Feature | undefined {
  let feature: Feature | undefined
  while (cursor.at < end) {
    const tag = cursor.varint()
    const kind = kinds[(tag >>> 3) - 1]
    if (kind === undefined || (tag & 7) !== wire.length) cursor.skip(tag, end)
    else feature = readList(cursor, kind, cursor.end(end))
  }
  return feature
}

/** The values of a list are its field 1; numbers are packed, or stand one by one. */
function readList(cursor: Cursor, kind: Feature['kind'], end: number): Feature {
  if (kind === 'bytes') {
    const values: Uint8Array[] = []
    for (const inner of cursor.messages(1, end)) values.push(cursor.take(inner))
    return { kind, values }
  }
  if (kind === 'floats') return { kind, values: numbersOf(cursor, wire.four, end, () => cursor.float()) }
  return { kind, values: numbersOf(cursor, wire.varint, end, () => cursor.integer()) }
}

function numbersOf<T>(cursor: Cursor, single: number, end: number, read: () => T): T[] {
  const values: T[] = []
  while (cursor.at < end) {
    const tag = cursor.varint()
    if (tag === tagOf(1)) {
      const last = cursor.end(end)
      while (cursor.at < last) values.push(read())
      cursor.checkAt(last)
    } else if (tag === tagOf(1, single)) values.push(read())
    else cursor.skip(tag, end)
  }
  return values
}

function tagOf(field: number, type: number = wire.length): number {
  return (field << 3) | type
}

/** A reading position in protobuf bytes; reading past their end throws. */
class Cursor {
  at = 0
  private readonly bytes: Uint8Array
  private readonly name: string
  private readonly view: DataView

  constructor(bytes: Uint8Array, name: string) {
    this.bytes = bytes
    this.name = name
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /**
   * Goes through a message and stops at each embedded message of this field; yields the position where that one ends.
   */
  *messages(field: number, end: number): Generator<number, void, undefined> {
    while (this.at < end) {
      const tag = this.varint()
      if (tag === tagOf(field)) {
        const inner = this.end(end)
        yield inner
        this.checkAt(inner)
      } else this.skip(tag, end)
    }
    this.checkAt(end)
  }

  /** Reads a length; returns the position where the bytes of this length end. */
  end(within: number): number {
    const from = this.at
    const length = this.varint()
    if (this.at + length > within) {
      throw this.wrong(from, `a length of at most ${Math.max(0, within - this.at)}`, String(length))
    }
    return this.at + length
  }

  /** An unsigned integer below 2^53. */
  varint(): number {
    const from = this.at
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes[this.at]
      if (byte === undefined) throw this.wrong(from, 'an integer', 'the end of the data')
      this.at++
      value += (byte & 127) * scale
      if (byte < 128) break
      if (scale > 2 ** 49) throw this.wrong(from, 'an integer below 2^53', 'more')
    }
    if (value > Number.MAX_SAFE_INTEGER) throw this.wrong(from, 'an integer below 2^53', 'more')
    return value
  }

  /** A signed 64-bit integer, a number where it has at most 53 bits; negative ones have ten bytes. */
  integer(): number | bigint {
    if ((this.bytes[this.at] as number) < 128) return this.varint()
    const signed = BigInt.asIntN(64, this.bits())
    const value = Number(signed)
    return Number.isSafeInteger(value) ? value : signed
  }

  /** An unsigned 64-bit integer. */
  private bits(): bigint {
    const from = this.at
    let bits = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.bytes[this.at]
      if (byte === undefined || shift > 63n) {
        throw this.wrong(from, 'a 64-bit integer', byte === undefined ? 'the end of the data' : 'more')
      }
      this.at++
      bits |= BigInt(byte & 127) << shift
      if (byte < 128) return bits
    }
  }

  float(): number {
    if (this.at + 4 > this.bytes.length) throw this.wrong(this.at, 'a float', 'the end of the data')
    this.at += 4
    return this.view.getFloat32(this.at - 4, true)
  }

  take(end: number): Uint8Array {
    const taken = this.bytes.subarray(this.at, end)
    this.at = end
    return taken
  }

  text(end: number): string {
    const bytes = this.take(end)
    let text = ''
    for (const byte of bytes) {
      if (byte > 127) return decoder.decode(bytes)
      text += String.fromCharCode(byte)
    }
    return text
  }

  skip(tag: number, end: number): void {
    const type = tag & 7
    if (type === wire.varint) this.bits()
    else if (type === wire.length) this.at = this.end(end)
    else if (type === wire.eight) this.at += 8
    else if (type === wire.four) this.at += 4
    else throw this.wrong(this.at - 1, 'a field of protocol buffers', `wire type ${type}`)
    if (this.at > end) throw this.wrong(end, 'a whole field', 'the end of the data')
  }

  checkAt(end: number): void {
    if (this.at !== end) throw this.wrong(end, 'the end of a message', 'the middle of a field')
  }

  private wrong(at: number, expected: string, got: string): RangeError {
    return new RangeError(
      `${this.name}: data must be a tf.train.Example, got ${got} where ${expected} belongs (byte ${at} of ` +
        `${this.bytes.length})`,
    )
  }
}

const decoder = new TextDecoder()
