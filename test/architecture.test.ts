import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import * as data from '../src/data/index.js'
import * as main from '../src/index.js'
import * as statistics from '../src/statistics/index.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const sources = execFileSync(
  'git',
  ['ls-files', '-co', '--exclude-standard', 'src', 'scripts', 'bench', 'tools', 'site'],
  {
    cwd: root,
    encoding: 'utf8',
  },
)
  .split('\n')
  .filter(file => file.endsWith('.ts') && existsSync(join(root, file)))

/** The files of the project that a file imports, types included. */
function importsOf(file: string): string[] {
  const { importedFiles } = ts.preProcessFile(readFileSync(join(root, file), 'utf8'), true, true)
  return importedFiles
    .filter(({ fileName }) => fileName.startsWith('.'))
    .map(({ fileName }) => posix.join(posix.dirname(file), fileName).replace(/\.js$/, '.ts'))
    .filter(target => sources.includes(target))
}

/** A circle of imports, from a file back to itself; undefined where there is none. */
function circle(graph: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>()
  const visit = (file: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return undefined
    for (const target of graph.get(file) ?? []) {
      const closed = visit(target, [...path, file])
      if (closed) return closed
    }
    done.add(file)
    return undefined
  }
  for (const file of graph.keys()) {
    const closed = visit(file, [])
    if (closed) return closed
  }
  return undefined
}

/** What of a file is longer than a reader keeps in mind. */
function tooLarge(file: string, text: string): string[] {
  const found: string[] = []
  const lines = text.split('\n').length - 1
  if (lines > 400) found.push(`${file} has ${lines} lines`)
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const lineAt = (position: number): number => source.getLineAndCharacterOfPosition(position).line
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body) {
      const count = lineAt(node.end) - lineAt(node.getStart(source)) + 1
      const { name } = node as { readonly name?: ts.Node }
      if (count > 60) found.push(`${file}: ${name?.getText(source) ?? 'a function'} has ${count} lines`)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

describe('the structure', () => {
  it('has no circle of imports, of types neither', () => {
    expect(
      circle(
        new Map([
          ['a', ['b']],
          ['b', ['c']],
          ['c', ['b']],
        ]),
      ),
    ).toEqual(['b', 'c', 'b'])
    const graph = new Map(sources.map(file => [file, importsOf(file)]))
    expect([...graph.values()].flat().length).toBeGreaterThan(1000)
    expect(circle(graph)).toBeUndefined()
  })

  it('has no folder of more than 32 files', () => {
    const counts = new Map<string, number>()
    for (const file of sources) counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1)
    expect([...counts].filter(([, count]) => count > 32)).toEqual([])
  })

  it('has no file of more than 400 lines, and no function of more than 60', () => {
    const larger = sources.flatMap(file => tooLarge(file, readFileSync(join(root, file), 'utf8')))
    expect(larger).toEqual([])
    const long = `export function f() {\n${'  g()\n'.repeat(59)}}\n`
    expect(tooLarge('a.ts', long)).toEqual(['a.ts: f has 61 lines'])
    expect(tooLarge('b.ts', '\n'.repeat(401))).toEqual(['b.ts has 401 lines'])
    const short = long.replace('  g()\n', '')
    expect(tooLarge('c.ts', short.repeat(6))).toEqual([])
  })

  it('has a main entry of fewer than 80 values, and none of them twice', () => {
    const names = Object.keys(main)
    expect(names.length).toBeLessThan(80)
    const others = [...Object.keys(data), ...Object.keys(statistics)]
    expect(names.filter(name => others.includes(name))).toEqual(['streamOf'])
  })
})
