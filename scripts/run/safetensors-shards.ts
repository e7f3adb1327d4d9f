import { basename, dirname, join } from 'node:path'
import * as z from 'zod'
import { readSafetensors, type StoredTensor } from '../../src/data/formats/safetensors.js'

const shardIndex = z.looseObject({ weight_map: z.record(z.string(), z.string()) })

/** Whether a file is the list of the parts of a checkpoint: JSON with the file of each tensor. */
export function isShardIndex(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7b && parsed(bytes)?.success === true
}

function parsed(bytes: Uint8Array) {
  try {
    return shardIndex.safeParse(JSON.parse(Buffer.from(bytes).toString('utf8')))
  } catch {
    return undefined
  }
}

/**
 * Reads the tensors of a checkpoint in several safetensors files.
 *
 * @param bytes its list, `model.safetensors.index.json`
 * @param path of the list; the files lie beside it
 * @param read the bytes of a file
 * @throws RangeError naming the file where it lies elsewhere, and the tensor where the list and the files differ
 */
export async function readShards(
  bytes: Uint8Array,
  path: string,
  read: (path: string) => Promise<Uint8Array>,
): Promise<Map<string, StoredTensor>> {
  const map = parsed(bytes)?.data?.weight_map ?? {}
  const tensors = new Map<string, StoredTensor>()
  for (const file of [...new Set(Object.values(map))].sort()) {
    if (file !== basename(file) || file.includes('\\') || file === '..') {
      throw new RangeError(`${path}: files must lie beside it, got ${JSON.stringify(file)}`)
    }
    const shard = join(dirname(path), file)
    for (const [name, tensor] of readSafetensors(await read(shard), shard).tensors) {
      if (map[name] !== file) {
        const got = map[name] === undefined ? 'none' : JSON.stringify(map[name])
        throw new RangeError(`${path}: tensor "${name}" must be listed in ${file}, which has it, got ${got}`)
      }
      tensors.set(name, tensor)
    }
  }
  const absent = Object.keys(map).find(name => !tensors.has(name))
  if (absent !== undefined) {
    throw new RangeError(
      `${path}: tensor "${absent}" must be in ${map[absent]}, as listed, got nothing there`,
    )
  }
  return tensors
}

/**
 * The list beside one part of a checkpoint in several files: `model.safetensors.index.json` of
 * `model-00001-of-00003.safetensors`.
 *
 * @returns undefined for a file that is no such part
 */
export function indexOfShard(path: string): string | undefined {
  const [, stem, count] = /^(.*)-\d{5}-of-(\d{5})\.safetensors$/.exec(basename(path)) ?? []
  return stem === undefined || Number(count) < 2
    ? undefined
    : join(dirname(path), `${stem}.safetensors.index.json`)
}
