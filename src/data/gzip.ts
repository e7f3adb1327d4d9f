/** The two bytes that every gzip file starts with. */
const magic = [0x1f, 0x8b] as const

/** Whether the bytes start as a gzip file does. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === magic[0] && bytes[1] === magic[1]
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
export async function gunzip(bytes: Uint8Array, name: string, most = 2 ** 30): Promise<Uint8Array> {
  const source = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      controller.enqueue(bytes as Uint8Array<ArrayBuffer>)
      controller.close()
    },
  })
  const reader = source.pipeThrough(new DecompressionStream('gzip')).getReader()
  const chunks: Uint8Array[] = []
  let length = 0
  for (;;) {
    const chunk = await reader.read().catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new Error(`${name}: gzip data must be whole, got ${reason} (file of ${bytes.length} bytes)`, {
        cause,
      })
    })
    if (chunk.done) return joined(chunks, length)
    chunks.push(chunk.value)
    length += chunk.value.length
    if (length > most) {
      await reader.cancel()
      throw new RangeError(
        `${name}: gzip data must decompress to at most ${most} bytes, got more (file of ${bytes.length} bytes)`,
      )
    }
  }
}

function joined(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks) {
    whole.set(chunk, offset)
    offset += chunk.length
  }
  return whole
}
