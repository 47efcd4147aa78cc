//! The dimension of bytes on standard input, row after row: images as many files hold them.
//!
//! ```text
//! estimate-dimension DIM [HEADER [LABEL]]
//! ```
//!
//! DIM bytes a row, after HEADER bytes at the start and LABEL bytes before each row. Copies are removed.
//!
//! ```sh
//! gunzip -c train-images-idx3-ubyte.gz | cargo run --release --example estimate-dimension -- 784 16  # MNIST
//! cat data_batch_?.bin | cargo run --release --example estimate-dimension -- 3072 0 1                # CIFAR-10, binary version
//! ```

use std::error::Error;
use std::io::Read;
use std::process::ExitCode;
use std::time::Instant;

use rekindle_intrinsic_dimension::{Bootstrap, Curve, Duplicates, Knn, Mle, Points, Progress, TwoNn};

const KS: [usize; 4] = [3, 5, 10, 20];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|argument| argument.parse()).collect::<Result<_, _>>()?;
    let (dim, header, label) = match numbers[..] {
        [dim] => (dim, 0, 0),
        [dim, header] => (dim, header, 0),
        [dim, header, label] => (dim, header, label),
        _ => return Err("usage: estimate-dimension DIM [HEADER [LABEL]] < FILE".into()),
    };
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let rows = bytes.get(header..).ok_or("the file is shorter than its header")?.chunks(dim.max(1) + label);
    let rows: Vec<&[u8]> = rows.map(|row| row.get(label..).unwrap_or_default()).collect();
    let points = Points::from_rows(&rows)?;
    drop(bytes);

    let progress = |Progress { done, total }| {
        if done * 10 / total > (done - 1) * 10 / total {
            eprintln!("{} %", done * 100 / total);
        }
    };
    let search = Knn::new(KS[KS.len() - 1]).with_duplicates(Duplicates::Remove).with_progress(&progress);
    let start = Instant::now();
    let table = search.search(&points)?;
    eprintln!("neighbors in {:.2} s", start.elapsed().as_secs_f64());
    println!("{} rows of {} bytes, {} copies left out", points.n(), points.dim(), table.n_duplicates());
    println!("{:>4} {:>8} {:>18} {:>14}", "k", "MLE", "95 %", "authors' code");
    let curve = Curve::over_k(&KS, |k| Mle::new().with_k(k).fit(&table), Some(&Bootstrap::new()))?;
    for point in curve.points {
        let interval = point.interval.ok_or("an interval was asked for")?;
        let theirs = Mle::pope_code().with_k(point.at).fit(&table)?.dimension;
        println!(
            "{:>4} {:>8.2} {:>18} {:>14.2}{}",
            point.at,
            point.dimension,
            format!("[{:.2}, {:.2}]", interval.low, interval.high),
            theirs,
            if point.unstable { "  unstable" } else { "" }
        );
    }
    let two_nn = |discard| TwoNn::new().with_discard(discard).fit(&table);
    println!("TwoNN {:.2}; with all ratios but the largest {:.2}", two_nn(0.1)?.dimension, two_nn(0.0)?.dimension);
    Ok(())
}
