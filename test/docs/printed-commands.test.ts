import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Command, CommanderError } from 'commander'
import { describe, expect, test } from 'vitest'
import { program } from '../../scripts/program.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const texts = [
  'README.md',
  ...readdirSync(`${root}docs`)
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/${name}`),
]
const { scripts, exports } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))

/** A line of a text that a reader may type, without its comment, and where it stands. */
interface PrintedCommand {
  readonly where: string
  readonly words: readonly string[]
}

/** The commands in the blocks of code for a shell; lines that go on are one. */
function printedCommands(file: string): PrintedCommand[] {
  const blocks = codeBlocks(file, ['sh', 'bash']).flatMap(code =>
    withFirstValues(code.replace(/\\\n\s*/g, ' ')).split('\n'),
  )
  const lines = blocks.map(line =>
    line
      .replace(/(^|\s)#\s.*$/, '')
      .replace(/^\$ /, '')
      .trim(),
  )
  return lines
    .flatMap(line => line.split(/\s(?:&&|\||;)(?:\s|$)|;\s/))
    .map(command => command.trim())
    .filter(command => command !== '')
    .map(command => ({ where: `${file}: ${command}`, words: shellWords(command) }))
}

function codeBlocks(file: string, languages: readonly string[]): string[] {
  const text = readFileSync(`${root}${file}`, 'utf8')
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, language = '']) => languages.includes(language))
    .map(([, , code = '']) => code)
}

/** A block with the first value of each of its loops in the place of its variable. */
function withFirstValues(code: string): string {
  const loops = [...code.matchAll(/\bfor (\w+) in (\S+?)[ ;]/g)]
  return loops.reduce((text, [, name, value = '']) => text.replaceAll(`$${name}`, value), code)
}

/** What a shell makes words of, without what quotes and variables do. */
function shellWords(command: string): string[] {
  return (command.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? []).map(word =>
    word.replace(/^(["'])(.*)\1$/, '$2'),
  )
}

/** The command line, parsed and checked, with commands that do nothing. */
function silentProgram(): Command {
  const root = program()
  const silence = (command: Command): void => {
    command.configureOutput({ writeErr: () => {}, writeOut: () => {} })
    if (command.commands.length === 0) command.action(() => {})
    command.commands.forEach(silence)
  }
  silence(root)
  return root
}

/** What is wrong with a command; undefined where nothing is. */
async function fault({ where, words }: PrintedCommand): Promise<string | undefined> {
  const [name = '', ...rest] = words[0] === 'npx' ? words.slice(1) : words
  const missing = (path: string) =>
    existsSync(`${root}${path}`) ? undefined : `${where}: ${path} does not exist`
  if (name === 'pmoe') {
    try {
      await silentProgram().parseAsync(rest, { from: 'user' })
      return undefined
    } catch (error) {
      if (error instanceof CommanderError && error.exitCode === 0) return undefined
      return `${where}: ${(error as Error).message}`
    }
  }
  if (['tsx', 'node', 'bash'].includes(name)) return missing(rest.find(word => !word.startsWith('-')) ?? '')
  if (name === 'sbatch') return missing(rest.find(word => word.endsWith('.sh')) ?? '')
  if (name === 'npm') {
    const [action = '', script = ''] = rest.filter(word => !word.startsWith('-'))
    const run = action === 'run' ? script : action
    const isOfNpm = ['ci', 'i', 'install', 'pack'].includes(action)
    return isOfNpm || run in scripts ? undefined : `${where}: package.json has no script ${run}`
  }
  return known.has(name) ? undefined : `${where}: ${name} is no program that is checked`
}

/** Programs of the system, or of others, that texts may name; what they are given is not checked. */
const known = new Set([
  'echo',
  'wc',
  'gzip',
  'tar',
  'esbuild',
  'python',
  'python3',
  'pip',
  'for',
  'done',
  'do',
  'cd',
  'curl',
  'aws',
  'kubectl',
  'ray',
  'export',
])

/** The flags and commands of `pmoe ...` in a sentence, where arguments may be missing. */
function sentenceFaults(file: string): string[] {
  const text = readFileSync(`${root}${file}`, 'utf8').replace(/^```[\s\S]*?^```$/gm, '')
  return [...text.matchAll(/`(?:npx )?pmoe ([^`]+)`/g)].flatMap(([code, line = '']) => {
    let command: Command | undefined = program()
    const flags: string[] = []
    for (const word of shellWords(line.replaceAll('\n', ' '))) {
      // What follows is of another command.
      if (word === '--') break
      const inner: Command | undefined = command.commands.find(each => each.name() === word)
      if (inner) command = inner
      else if (word.startsWith('--')) flags.push(word.replace(/[,=].*$/, ''))
    }
    if (command.parent === null && !line.startsWith('-')) return [`${file}: ${code} names no command`]
    // A group of commands may have one that is meant where none is named.
    const options = [command, ...command.commands].flatMap(each => each.options)
    const has = (flag: string) =>
      flag === '--help' || options.some(({ long, short }) => long === flag || short === flag)
    return flags.filter(flag => !has(flag)).map(flag => `${file}: ${code}: ${command.name()} has no ${flag}`)
  })
}

describe.each(texts)('%s', file => {
  test('prints commands that are there, with flags and values that they take', async () => {
    const faults = await Promise.all(printedCommands(file).map(fault))
    expect([...faults.filter(each => each !== undefined), ...sentenceFaults(file)]).toEqual([])
  })

  test('imports what the package has', async () => {
    const imports = codeBlocks(file, ['ts', 'js', 'html']).flatMap(code => [
      ...code.matchAll(/import \{([^}]+)\} from '(patch-moe[^']*)'/g),
    ])
    for (const [line, names = '', from = ''] of imports) {
      const entry = exports[from.replace('patch-moe', '.')]
      expect(entry, `${file}: ${line}`).toBeDefined()
      const source = entry.types.replace('./dist/', '../../').replace(/\.d\.ts$/, '.js')
      const module = (await import(source)) as object
      const asked = names
        .split(',')
        .map(name => name.trim().replace(/^type\s.*/, ''))
        .filter(name => name !== '')
      expect(
        asked.filter(name => !(name in module)),
        `${file}: ${line}`,
      ).toEqual([])
    }
  })
})

test('a wrong flag, value, command, script or file is found', async () => {
  const faultOf = (line: string) => fault({ where: 'x', words: shellWords(line) })
  expect(
    await faultOf('npx pmoe train --dataset digits-patches --model two-layer-pmoe --out runs/a'),
  ).toBeUndefined()
  expect(await faultOf('npx pmoe train --datasets digits-patches')).toMatch('--datasets')
  expect(await faultOf('npx pmoe train --dataset digit')).toMatch('digit')
  expect(await faultOf('npx pmoe trains')).toMatch('trains')
  expect(await faultOf('npx pmoe evaluate')).toMatch('model')
  expect(await faultOf('npm run tests')).toMatch('tests')
  expect(await faultOf('npx tsx tools/none.ts')).toMatch('tools/none.ts')
  expect(await faultOf('rm -rf /')).toMatch('rm')
})

test('docs/cli.md says what every command does', () => {
  const page = readFileSync(`${root}docs/cli.md`, 'utf8')
  const names = program().commands.map(command => command.name())
  expect(names.filter(name => name !== 'help' && !page.includes(`\`pmoe ${name}`))).toEqual([])
})
