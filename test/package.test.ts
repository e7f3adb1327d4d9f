import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string) => JSON.parse(readFileSync(`${root}${path}`, 'utf8'))

describe('the browser entry', () => {
  it('bundles without Node', async () => {
    const bundle = await build({
      entryPoints: [`${root}src/index.ts`],
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'browser',
      external: ['@tensorflow/*'],
      metafile: true,
      logLevel: 'silent',
    })
    const inputs = Object.keys(bundle.metafile.inputs)
    expect(inputs).toContain('src/layers/moe/patch-moe.ts')
    expect(
      inputs.filter(input =>
        /src\/(files|backend\/(entries|native|self-test|tensorflow)|run)\/|scripts\//.test(input),
      ),
    ).toEqual([])
    const imports = Object.values(bundle.metafile.outputs).flatMap(output => output.imports)
    const external = new Set(imports.map(({ path }) => path))
    expect([...external].filter(path => path.startsWith('node:'))).toEqual([])
  })

  it('brings a backend into a bundle only with useBackend', async () => {
    const packagesWith = async (name: string) => {
      const { metafile } = await build({
        stdin: {
          contents: `import { ${name} } from '${root}src/index.ts'; console.log(${name})`,
          resolveDir: root,
        },
        bundle: true,
        write: false,
        format: 'esm',
        platform: 'browser',
        external: ['@tensorflow/*'],
        // The sources register layers when they are imported; package.json names only the built files that do.
        ignoreAnnotations: true,
        metafile: true,
        logLevel: 'silent',
      })
      const imports = Object.values(metafile.outputs).flatMap(output => output.imports)
      const names = imports.flatMap(({ path }) => /tfjs-backend-(.*)/.exec(path)?.[1] ?? [])
      return [...new Set(names)].sort()
    }
    expect(await packagesWith('patchMoE')).toEqual([])
    expect(await packagesWith('useBackend')).toEqual(['cpu', 'wasm', 'webgl', 'webgpu'])
  })

  it('fails to bundle where Node leaks in', async () => {
    const leaking = build({
      stdin: { contents: `import 'node:fs'; import '${root}src/index.ts'`, resolveDir: root },
      bundle: true,
      write: false,
      platform: 'browser',
      external: ['@tensorflow/*'],
      logLevel: 'silent',
    })
    await expect(leaking).rejects.toThrow('Could not resolve "node:fs"')
  })
})

describe('the package', () => {
  it('imports only packages that it declares', async () => {
    const { dependencies, peerDependencies } = read('package.json')
    const bundle = await build({
      absWorkingDir: root,
      entryPoints: [
        'src/index.ts',
        'src/node.ts',
        'scripts/cli.ts',
        'src/files/augmentation/varying-worker.ts',
        'src/files/prepared/prefetch-worker.ts',
        'src/files/regions/reading-worker.ts',
        'src/files/keras/keras-worker.ts',
      ],
      bundle: true,
      write: false,
      outdir: 'dist',
      format: 'esm',
      platform: 'node',
      packages: 'external',
      metafile: true,
      logLevel: 'silent',
    })
    const imported = Object.values(bundle.metafile.inputs).flatMap(input => input.imports)
    const packages = new Set(
      imported
        .filter(({ external, path }) => external && !path.startsWith('node:'))
        .map(({ path }) => /^(@[^/]+\/)?[^/]+/.exec(path)?.[0]),
    )
    const declared = new Set([...Object.keys(dependencies), ...Object.keys(peerDependencies)])
    expect([...packages].filter(name => !declared.has(name as string))).toEqual([])
    expect(packages).toContain('@tensorflow/tfjs-layers')
  })

  it('keeps tfjs a peer and the native packages optional', () => {
    const { dependencies, peerDependencies, peerDependenciesMeta } = read('package.json')
    expect(Object.keys(dependencies)).toContain('@tensorflow/tfjs-backend-wasm')
    for (const name of ['tfjs', 'tfjs-core', 'tfjs-layers'])
      expect(Object.keys(dependencies)).not.toContain(`@tensorflow/${name}`)
    expect(Object.keys(peerDependencies)).not.toContain('@tensorflow/tfjs')
    expect(peerDependencies['@tensorflow/tfjs-core']).toBe('~4.22.0')
    expect(peerDependencies['@tensorflow/tfjs-layers']).toBe('~4.22.0')
    const optional = [
      '@tensorflow/tfjs-backend-webgl',
      '@tensorflow/tfjs-backend-webgpu',
      '@tensorflow/tfjs-node',
      '@tensorflow/tfjs-node-gpu',
      'onnxruntime-node',
      'webgpu',
    ]
    expect(peerDependenciesMeta).toEqual(Object.fromEntries(optional.map(name => [name, { optional: true }])))
  })

  it('needs none of the install scripts of its packages', () => {
    const { allowScripts } = read('package.json')
    const { packages } = read('package-lock.json') as { packages: Record<string, Record<string, unknown>> }
    const scripted = Object.keys(packages).filter(path => packages[path]?.hasInstallScript)
    const names = scripted.map(path => path.split('node_modules/').at(-1))
    // npm before 11 reads no allowScripts. It must not run the script of onnxruntime-node, which fetches CUDA and fails
    // where there is no network: there is none for it as long as the lock does not say so (npm install writes it back).
    expect([...new Set([...names, 'onnxruntime-node'])].sort()).toEqual(Object.keys(allowScripts))
    expect(Object.values(allowScripts)).not.toContain(true)
    expect(names).not.toContain('onnxruntime-node')
  })

  it('names sources for every file that it exports or runs', () => {
    const { exports, bin, sideEffects } = read('package.json')
    const built = [exports['.'].default, exports['./node'].default, bin.pmoe, ...sideEffects]
    for (const path of built.filter((path: string) => !path.includes('*'))) {
      const source = path.replace(/^(\.\/)?dist\//, root).replace(/\.js$/, '.ts')
      expect(existsSync(source), source).toBe(true)
    }
  })

  it('locks versions without addresses of a registry', () => {
    const addresses = Object.values(
      read('package-lock.json').packages as Record<string, { resolved?: string }>,
    )
    expect(addresses.filter(({ resolved }) => resolved !== undefined)).toEqual([])
  })
})
