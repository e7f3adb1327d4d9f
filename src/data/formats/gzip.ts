/** The two bytes that every gzip file starts with. */
const magic = [0x1f, 0x8b] as const

/** Whether the bytes start as a gzip file does. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === magic[0] && bytes[1] === magic[1]
}

/** Whether the bytes start as zlib's own form of compressed data does with the usual window of 32 KiB. */
export function isZlib(bytes: Uint8Array): boolean {
  const [method = 0, flags = 0] = bytes
  return method === 0x78 && (method * 256 + flags) % 31 === 0 && (flags & 0x20) === 0
}

/**
 * Decompresses a gzip file, in Node and in browsers.
 *
 * @param bytes the whole file
 * @param name the file's name, for errors
 * @param most what the file may decompress to, in bytes; decompression stops beyond it
 * @throws Error with its cause when the data end early or are corrupt
 * @throws RangeError when they decompress to more than `most` bytes
 */
export function gunzip(bytes: Uint8Array, name: string, most = 2 ** 30): Promise<Uint8Array> {
  return decompress('gzip', bytes, name, most)
}

/**
 * Decompresses zlib's own form of compressed data.
 *
 * @throws as {@link gunzip}
 */
export function inflate(bytes: Uint8Array, name: string, most = 2 ** 30): Promise<Uint8Array> {
  return decompress('zlib', bytes, name, most)
}

async function decompress(
  form: 'gzip' | 'zlib',
  bytes: Uint8Array,
  name: string,
  most: number,
): Promise<Uint8Array> {
  const source = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      controller.enqueue(bytes as Uint8Array<ArrayBuffer>)
      controller.close()
    },
  })
  // DecompressionStream calls zlib's form `deflate`, after the method in it.
  const reader = source.pipeThrough(new DecompressionStream(form === 'zlib' ? 'deflate' : form)).getReader()
  const chunks: Uint8Array[] = []
  let length = 0
  for (;;) {
    const chunk = await reader.read().catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new Error(`${name}: ${form} data must be whole, got ${reason} (file of ${bytes.length} bytes)`, {
        cause,
      })
    })
    if (chunk.done) return joined(chunks, length)
    chunks.push(chunk.value)
    length += chunk.value.length
    if (length > most) {
      await reader.cancel()
      throw new RangeError(
        `${name}: ${form} data must decompress to at most ${most} bytes, got more (file of ${bytes.length} bytes)`,
      )
    }
  }
}

function joined(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.length
  }
  return bytes
}
