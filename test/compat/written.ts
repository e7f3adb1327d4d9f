import { readdirSync, readFileSync } from 'node:fs'
import { cp, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))

/** The folders that `write.ts` has written, one for each version of the package. */
export const writtenFolders = readdirSync(here)
  .filter(name => name.startsWith('written-by-'))
  .map(name => ({ name, folder: join(here, name) }))

/** What an epoch measured, but for times. */
type Epoch = Readonly<Record<string, number>>

interface Images {
  readonly shape: readonly number[]
  readonly classNames: readonly string[]
  readonly labels: readonly number[]
  readonly sha256: string
}

/** The numbers that the version computed from what it wrote. */
export interface WrittenNumbers {
  /** By run: its epochs and its evaluation once it had gone on to its end. */
  readonly runs: Readonly<Record<string, { epochs: readonly Epoch[]; evaluation: Evaluation }>>
  readonly prepared: Readonly<Record<string, { train: Images; test: Images }>>
  /** Two epochs on the prepared folder of images, with these settings. */
  readonly trainedOnPrepared: { readonly settings: readonly string[]; readonly epochs: readonly Epoch[] }
  /** The cells of the study in its `results.json`. */
  readonly study: readonly unknown[]
}

interface Evaluation {
  readonly backend: string
  readonly accuracy: number
  readonly loss: number
  readonly count: number
  readonly perClass: Readonly<Record<string, number>>
  readonly parameters: number
  readonly multiplyAdds: number
}

/** Reads `numbers.json` of a written folder. */
export function writtenNumbers(folder: string): WrittenNumbers {
  return JSON.parse(readFileSync(join(folder, 'numbers.json'), 'utf8'))
}

/** Copies a written folder to a new place, where it may be changed. */
export async function copyOf(folder: string): Promise<string> {
  const copy = join(await mkdtemp(join(tmpdir(), 'compat-')), 'copy')
  await cp(folder, copy, { recursive: true })
  return copy
}
