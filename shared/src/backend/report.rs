use burn::tensor::Device;

/// The backend and hardware behind a device, for people to read: `flex on x86_64, 8 threads, avx512`.
///
/// An autodiff device is described as the device below it.
pub fn describe(device: &Device) -> String {
    let below = device.clone().inner();
    match host_backend(&below) {
        Some(backend) => {
            let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
            format!("{backend} on {}, {threads} threads, {}", std::env::consts::ARCH, simd_level())
        }
        None => accelerator(&below),
    }
}

/// What decides the last bits of a result: the Cargo features that select kernels, and `cpu:` with the SIMD level.
///
/// Results are equal bit for bit on the same machine with the same features; `x86-v4` compiles AVX-512 kernels that
/// are chosen at run time, so that two machines may differ. Features count where this crate turned them on:
/// `burn/x86-v4` written by hand in another manifest isn't seen.
pub fn features() -> Vec<String> {
    let compiled = [
        ("flex", cfg!(feature = "flex")),
        ("ndarray", cfg!(feature = "ndarray")),
        ("wgpu", cfg!(feature = "wgpu")),
        ("cuda", cfg!(feature = "cuda")),
        ("rayon", cfg!(feature = "rayon")),
        ("simd", cfg!(feature = "simd")),
        ("x86-v4", cfg!(feature = "x86-v4")),
        ("kernels", cfg!(feature = "kernels")),
    ];
    let on = compiled.into_iter().filter(|(_, on)| *on).map(|(name, _)| name.to_owned());
    on.chain([format!("cpu:{}", simd_level())]).collect()
}

/// Whether the device computes on the CPU. Such devices gain from pieces that stay in its caches, others from few large
/// operations.
pub fn on_host(device: &Device) -> bool {
    let name = format!("{:?}", device.clone().inner().as_dispatch());
    ["Flex", "NdArray", "Cpu"].iter().any(|host| name.contains(host))
}

/// The widest SIMD level of this CPU among those that Burn's CPU kernels know.
fn simd_level() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if has!("avx512f") && has!("avx512bw") && has!("avx512cd") && has!("avx512dq") && has!("avx512vl") {
            return "avx512";
        }
        if has!("avx2") && has!("fma") {
            return "avx2";
        }
        if has!("sse4.2") { "sse4.2" } else { "sse2" }
    }
    #[cfg(target_arch = "aarch64")]
    {
        "neon"
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        "scalar"
    }
}

/// The name of a backend that runs on the host, if the device is one.
fn host_backend(device: &Device) -> Option<&'static str> {
    #[cfg(feature = "flex")]
    if *device == Device::flex() {
        return Some("flex");
    }
    #[cfg(feature = "ndarray")]
    #[allow(deprecated, reason = "kept while Burn 0.22 has it, for comparison")]
    if *device == Device::ndarray() {
        return Some("ndarray");
    }
    let _ = device;
    None
}

/// The part's name where the driver gives one, Burn's name for the device otherwise.
fn accelerator(device: &Device) -> String {
    let device_name = format!("{:?}", device.as_dispatch());
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    if let Some(identity) = device.identity() {
        let backend = if device_name.contains("Cuda") { "cuda" } else { "wgpu" };
        return format!("{backend} on {}", identity.name);
    }
    device_name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_and_its_autodiff_twin_are_described_alike() {
        let plain = Device::flex();
        let text = describe(&plain);
        assert!(text.starts_with(&format!("flex on {}, ", std::env::consts::ARCH)), "{text}");
        assert!(text.contains(" threads, "), "{text}");
        assert_eq!(describe(&plain.autodiff()), text);
    }

    #[test]
    fn host_devices_are_known() {
        assert!(on_host(&Device::flex()) && on_host(&Device::flex().autodiff()));
    }

    #[test]
    fn features_name_the_kernels_and_the_cpu() {
        let features = features();
        for expected in ["flex", "rayon", "simd", "x86-v4", "kernels"] {
            assert!(features.iter().any(|feature| feature == expected), "{expected} is missing in {features:?}");
        }
        assert_eq!(features.iter().filter(|feature| feature.starts_with("cpu:")).count(), 1);
    }
}
