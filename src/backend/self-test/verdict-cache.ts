import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as z from 'zod'
import type { OperationVerdict } from '../checks/operation-verdict.js'
import type { NativeCandidate } from '../native/native.js'
import { processorIdentity } from '../native/processor.js'

/** How native TensorFlow can be used on this processor. */
export interface NativeVerdict {
  /** Version of the TensorFlow library. */
  readonly version: string
  /** Whether it can be used at all. */
  readonly isUsable: boolean
  /** The instructions that oneDNN has to keep to; undefined where it may use all. */
  readonly instructionSet?: string | undefined
  /** Operations that have to be computed in another way. */
  readonly avoided: readonly string[]
  /** Whether bfloat16 was checked and is right. */
  readonly bfloat16: boolean
  readonly operations: readonly OperationVerdict[]
  readonly seconds: number
}

const verdictSchema = z.strictObject({
  version: z.string(),
  isUsable: z.boolean(),
  instructionSet: z.string().exactOptional(),
  avoided: z.array(z.string()),
  bfloat16: z.boolean(),
  operations: z.array(
    z.strictObject({
      operation: z.string(),
      inBfloat16: z.boolean(),
      checks: z.int().nonnegative(),
      wrong: z.string().exactOptional(),
    }),
  ),
  seconds: z.number(),
})

/** The package's folder in the user's cache: patch-moe in XDG_CACHE_HOME, or in ~/.cache. */
export function verdictFolder(env: Readonly<Record<string, string | undefined>> = process.env): string {
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'patch-moe')
}

/** The verdict that was stored for this installation, processor and table; undefined where none can be read. */
export function readVerdict(candidate: NativeCandidate, folder = verdictFolder()): NativeVerdict | undefined {
  try {
    return verdictSchema.parse(JSON.parse(readFileSync(verdictFile(candidate, folder), 'utf8')))
  } catch {
    return undefined
  }
}

/** Stores a verdict, wholly or not at all; where nothing can be written, the next process runs the self-test again. */
export function writeVerdict(
  candidate: NativeCandidate,
  verdict: NativeVerdict,
  folder = verdictFolder(),
): void {
  const file = verdictFile(candidate, folder)
  const unfinished = `${file}.${process.pid}`
  try {
    mkdirSync(folder, { recursive: true })
    writeFileSync(unfinished, JSON.stringify(verdict))
    renameSync(unfinished, file)
  } catch {
    removeIfThere(unfinished)
  }
}

function removeIfThere(file: string): void {
  try {
    rmSync(file, { force: true })
  } catch {
    // The path of the folder is not a folder, so there is no file to remove.
  }
}

function verdictFile(candidate: NativeCandidate, folder: string): string {
  const key = JSON.stringify({
    processor: processorIdentity(),
    limit: process.env.ONEDNN_MAX_CPU_ISA,
    oneDnn: process.env.TF_ENABLE_ONEDNN_OPTS,
    libraries: libraries(candidate),
    sources: sources(),
  })
  return join(folder, `self-test-${createHash('sha256').update(key).digest('hex').slice(0, 24)}.json`)
}

/** What is checked and what is replaced, as text: making the table takes longer than reading it. */
function sources(): string[] {
  return ['checks', 'tensorflow'].flatMap(part => {
    const path = fileURLToPath(new URL(`../${part}/`, import.meta.url))
    return readdirSync(path)
      .filter(name => /(?<!\.d)\.[jt]s$/.test(name))
      .sort()
      .map(name => readFileSync(join(path, name), 'utf8'))
  })
}

/** Sizes and times of the addon and of TensorFlow's libraries, as the version is known only once it is loaded. */
function libraries({ folder }: NativeCandidate): string[] {
  return ['lib', 'deps/lib'].flatMap(part => filesIn(join(folder, part)))
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .sort()
      .map(name => {
        const { size, mtimeMs } = statSync(join(folder, name))
        return `${name} ${size} ${mtimeMs}`
      })
  } catch {
    return []
  }
}
