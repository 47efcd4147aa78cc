//! A test alone in its program, which the measurement runs once more.

#[cfg(target_os = "linux")]
#[test]
fn a_peak_is_that_of_the_measurement_alone() {
    use std::hint::black_box;

    use rekindle_harness::peak::peak_above;

    let mib = |n: usize| black_box(vec![1_u8; n << 20]);
    let peaks = [16, 64].map(|n| {
        let prepare = || {
            let held = mib(100);
            move || drop((mib(n), held))
        };
        (n as u64, peak_above(&n.to_string(), prepare).unwrap())
    });
    for (n, peak) in peaks {
        let peak = peak.expect("Linux tells it") >> 20;
        assert!((n - 1..n + 8).contains(&peak), "{peak} of {n}");
    }
}
