import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A file of a page. */
export interface PageFile {
  readonly type: string
  readonly bytes: Uint8Array
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
}

/**
 * The page of the explorer: in the package it lies built beside the command line, and from the sources it is built when it is
 * asked for.
 *
 * @returns by name, `index.html` among them
 */
export async function explorerPage(): Promise<ReadonlyMap<string, PageFile>> {
  const built = fileURLToPath(new URL('../../../explorer/', import.meta.url))
  const files = existsSync(built) ? await filesOf(built) : await builtFromSources()
  return new Map(
    files.map(([name, bytes]) => [name, { type: types[extname(name)] ?? 'application/octet-stream', bytes }]),
  )
}

type NamedBytes = readonly (readonly [name: string, bytes: Uint8Array])[]

async function filesOf(folder: string): Promise<NamedBytes> {
  const names = await readdir(folder)
  return Promise.all(names.map(async name => [name, await readFile(`${folder}/${name}`)] as const))
}

async function builtFromSources(): Promise<NamedBytes> {
  // By its address, as the package does not hold it.
  const tool = new URL('../../../tools/explorer-page.ts', import.meta.url).href
  const { bundledExplorer } = (await import(tool)) as { bundledExplorer(): Promise<NamedBytes> }
  return bundledExplorer()
}
