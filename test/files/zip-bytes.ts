import { deflateRawSync } from 'node:zlib'
import crc32 from 'crc-32'

/** A file of a zip archive, and what the archive says of it where that is not the truth. */
export interface ZipPart {
  readonly name: string
  readonly data: Uint8Array
  /** 0 stored, 8 deflated. */
  readonly method?: number
  readonly claims?: {
    readonly size?: number
    readonly compressedSize?: number
    readonly crc?: number
    readonly method?: number
    readonly offset?: number
  }
  /** Bytes of extra fields in the local header, which the directory knows nothing of. */
  readonly localExtra?: number
}

/** The bytes of a zip archive, correct or not: written field by field from the format's description. */
export function zipBytes(parts: readonly ZipPart[]): Uint8Array {
  const files: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const { name, data, method = 0, claims = {}, localExtra = 0 } of parts) {
    const packed = method === 8 ? deflateRawSync(data) : data
    const fields = Buffer.alloc(26)
    fields.writeUInt16LE(20, 0)
    fields.writeUInt16LE(claims.method ?? method, 4)
    fields.writeUInt32LE(claims.crc ?? crc32.buf(data) >>> 0, 10)
    fields.writeUInt32LE(claims.compressedSize ?? packed.length, 14)
    fields.writeUInt32LE(claims.size ?? data.length, 18)
    fields.writeUInt16LE(name.length, 22)
    const entry = Buffer.alloc(20)
    entry.writeUInt32LE(0x02014b50, 0)
    const tail = Buffer.alloc(14)
    tail.writeUInt32LE(claims.offset ?? offset, 10)
    directory.push(Buffer.concat([entry.subarray(0, 6), fields, tail, Buffer.from(name)]))
    const local = Buffer.from(fields)
    local.writeUInt16LE(localExtra, 24)
    const signature = Buffer.from([0x50, 0x4b, 3, 4])
    files.push(Buffer.concat([signature, local, Buffer.from(name), Buffer.alloc(localExtra), packed]))
    offset += (files.at(-1) as Buffer).length
  }
  const size = directory.reduce((sum, entry) => sum + entry.length, 0)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(parts.length, 8)
  end.writeUInt16LE(parts.length, 10)
  end.writeUInt32LE(size, 12)
  end.writeUInt32LE(offset, 16)
  return new Uint8Array(Buffer.concat([...files, ...directory, end]))
}
