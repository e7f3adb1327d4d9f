import { describe, expect, it } from 'vitest'
import { benchCommand, commandText, parseOptions } from '../../bench/options.js'

function refusal(args: readonly string[]): string {
  const said: string[] = []
  const command = benchCommand().configureOutput({ writeErr: text => said.push(text) })
  expect(() => parseOptions(args, command)).toThrow()
  return said.join('')
}

describe('parseOptions', () => {
  it('measures everything unless told otherwise', () => {
    const { only, ...others } = parseOptions([])
    expect([...only].join('')).toBe('abcdefghijklmnpqrt')
    expect(others).toEqual({ backend: 'auto', quick: false })
  })

  it('takes letters in any order, once each', () => {
    expect([...parseOptions(['--only', 'h, b,b']).only]).toEqual(['b', 'h'])
  })

  it.each([
    [['--only', 'a,z'], 'It must list letters of a,b,c,d,e,f,g,h,i,j,k,l,m,n,p,q,r,t, got "z".'],
    [['--repeats', '0'], 'It must be a positive integer, got "0".'],
    [
      ['--backend', 'gpu'],
      'Allowed choices are auto, tensorflow-gpu, tensorflow, wasm, webgpu, webgpu-software, cpu.',
    ],
    [['--only', 'c'], 'error: --only c must come with --peers, got none'],
  ])('refuses %j', (args, message) => {
    expect(refusal(args)).toContain(message)
  })
})

describe('commandText', () => {
  it('repeats the command without paths', () => {
    const args = ['--quick', '--only', 'a,c', '--peers', '/home/me/p', '--json', 'x.json', '--repeats', '3']
    expect(commandText(parseOptions(args))).toBe(
      'npm run bench -- --only a,c --repeats 3 --peers DIR --quick --json FILE',
    )
    expect(commandText(parseOptions([]))).toBe('npm run bench')
  })
})
